// Command apns2 pushes to a stand-in of APNs with the library of that name, which is gorush's too.
//
//	apns2 URL CA_FILE PUSHES
//
// Each push has a device token and an id of its own and is rendered by itself, as in the daemon. It prints the seconds of CPU
// that the pushes took.
package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"syscall"

	"github.com/sideshow/apns2"
	"github.com/sideshow/apns2/payload"
	"github.com/sideshow/apns2/token"
	"golang.org/x/net/http2"
)

// inFlight is how many requests one connection has open; the stand-in allows as many.
const inFlight = 1000

func main() {
	pushes, err := strconv.Atoi(os.Args[3])
	if err != nil {
		log.Fatal(err)
	}
	client := newClient(os.Args[1], os.Args[2])
	push(client, 0)
	before := cpuSeconds()
	numbers := make(chan int, inFlight)
	var workers sync.WaitGroup
	for range inFlight {
		workers.Add(1)
		go func() {
			defer workers.Done()
			for number := range numbers {
				push(client, number)
			}
		}()
	}
	for number := range pushes {
		numbers <- number
	}
	close(numbers)
	workers.Wait()
	fmt.Println(cpuSeconds() - before)
}

func push(client *apns2.Client, number int) {
	response, err := client.Push(&apns2.Notification{
		DeviceToken: fmt.Sprintf("%064X", number),
		ApnsID:      fmt.Sprintf("00000000-0000-4000-8000-%012x", number),
		Topic:       "com.example.bench",
		PushType:    apns2.PushTypeAlert,
		Priority:    10,
		Payload:     payload.NewPayload().AlertTitle("Bench").AlertBody("For you: round 1").Sound("default"),
	})
	if err != nil {
		log.Fatal(err)
	}
	if !response.Sent() {
		log.Fatalf("push %d: %d %s", number, response.StatusCode, response.Reason)
	}
}

func newClient(url, caFile string) *apns2.Client {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	pem, err := os.ReadFile(caFile)
	if err != nil {
		log.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		log.Fatalf("%s holds no certificate", caFile)
	}
	client := apns2.NewTokenClient(&token.Token{AuthKey: key, KeyID: "ABC123DEFG", TeamID: "DEF123GHIJ"})
	client.Host = url
	client.HTTPClient = &http.Client{
		Timeout: apns2.HTTPClientTimeout,
		Transport: &http2.Transport{
			TLSClientConfig: &tls.Config{RootCAs: roots},
			DialTLS: func(network, address string, config *tls.Config) (net.Conn, error) {
				return tls.Dial(network, address, config)
			},
		},
	}
	return client
}

func cpuSeconds() float64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		log.Fatal(err)
	}
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9
}
