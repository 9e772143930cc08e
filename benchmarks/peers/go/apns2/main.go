// Command apns2 pushes to an APNs with the library of that name, which is gorush's too.
//
//	apns2 each URL CA_FILE CREDENTIAL
//	apns2 many PUSHES URL CA_FILE CREDENTIAL
//
// A credential is `key KEY_FILE KEY_ID TEAM_ID` or `certificate PEM_FILE`.
//
// `each` reads a JSON array of notifications, sends them all at once, and writes one of what became of each, in the same order.
// `many` sends pushes that have a device token and an id of their own each and are rendered by themselves, as in the daemon, and
// prints the seconds of CPU that they took; one that is not taken ends it.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/sideshow/apns2"
	"github.com/sideshow/apns2/certificate"
	"github.com/sideshow/apns2/payload"
	"github.com/sideshow/apns2/token"
	"golang.org/x/net/http2"
)

// inFlight is how many requests one connection has open; the stand-in allows as many.
const inFlight = 1000

type notification struct {
	Token, ID, Topic, Type, CollapseID string
	Priority                           int
	Expiration                         int64
	Payload                            json.RawMessage
}

type result struct {
	Status    int    `json:"status"`
	Reason    string `json:"reason"`
	ID        string `json:"id"`
	Timestamp int64  `json:"timestamp"`
	Error     string `json:"error"`
}

func main() {
	switch command, rest := os.Args[1], os.Args[2:]; command {
	case "each":
		each(newClient(rest[0], rest[1], rest[2:]))
	case "many":
		pushes, err := strconv.Atoi(rest[0])
		if err != nil {
			log.Fatal(err)
		}
		many(newClient(rest[1], rest[2], rest[3:]), pushes)
	default:
		log.Fatalf("%q is neither each nor many", command)
	}
}

func each(client *apns2.Client) {
	var asked []notification
	if err := json.NewDecoder(os.Stdin).Decode(&asked); err != nil {
		log.Fatal(err)
	}
	results := make([]result, len(asked))
	var pushes sync.WaitGroup
	for number := range asked {
		pushes.Add(1)
		go func() {
			defer pushes.Done()
			results[number] = said(client, asked[number])
		}()
	}
	pushes.Wait()
	if err := json.NewEncoder(os.Stdout).Encode(results); err != nil {
		log.Fatal(err)
	}
}

func said(client *apns2.Client, asked notification) result {
	given := &apns2.Notification{
		DeviceToken: asked.Token,
		ApnsID:      asked.ID,
		Topic:       asked.Topic,
		PushType:    apns2.EPushType(asked.Type),
		Priority:    asked.Priority,
		CollapseID:  asked.CollapseID,
		Payload:     []byte(asked.Payload),
	}
	if asked.Expiration != 0 {
		given.Expiration = time.Unix(asked.Expiration, 0)
	}
	response, err := client.Push(given)
	if err != nil {
		return result{Error: err.Error()}
	}
	answer := result{Status: response.StatusCode, Reason: response.Reason, ID: response.ApnsID}
	if !response.Timestamp.IsZero() {
		answer.Timestamp = response.Timestamp.UnixMilli()
	}
	return answer
}

func many(client *apns2.Client, pushes int) {
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

func newClient(url, caFile string, credential []string) *apns2.Client {
	pem, err := os.ReadFile(caFile)
	if err != nil {
		log.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		log.Fatalf("%s holds no certificate", caFile)
	}
	var client *apns2.Client
	if credential[0] == "key" {
		key, err := token.AuthKeyFromFile(credential[1])
		if err != nil {
			log.Fatal(err)
		}
		client = apns2.NewTokenClient(&token.Token{AuthKey: key, KeyID: credential[2], TeamID: credential[3]})
	} else {
		shown, err := certificate.FromPemFile(credential[1], "")
		if err != nil {
			log.Fatal(err)
		}
		client = apns2.NewClient(shown)
	}
	client.Host = url
	transport := client.HTTPClient.Transport.(*http2.Transport)
	if transport.TLSClientConfig == nil {
		transport.TLSClientConfig = &tls.Config{}
	}
	transport.TLSClientConfig.RootCAs = roots
	return client
}

func cpuSeconds() float64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		log.Fatal(err)
	}
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9
}
