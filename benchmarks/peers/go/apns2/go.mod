module apns2

go 1.22

require (
	github.com/sideshow/apns2 v0.25.0
	golang.org/x/net v0.23.0
)

require (
	github.com/golang-jwt/jwt/v4 v4.5.0 // indirect
	golang.org/x/crypto v0.21.0 // indirect
	golang.org/x/text v0.14.0 // indirect
)
