// Command apns2 sends notifications to an APNs with the library of that name, all at once.
//
//	apns2 URL CA_FILE key KEY_FILE KEY_ID TEAM_ID
//	apns2 URL CA_FILE certificate PEM_FILE
//
// Standard input is a JSON array of notifications, standard output one of what became of each, in the same order.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"log"
	"os"
	"sync"
	"time"

	"github.com/sideshow/apns2"
	"github.com/sideshow/apns2/certificate"
	"github.com/sideshow/apns2/token"
	"golang.org/x/net/http2"
)

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
	var asked []notification
	if err := json.NewDecoder(os.Stdin).Decode(&asked); err != nil {
		log.Fatal(err)
	}
	client := newClient(os.Args[1], os.Args[2], os.Args[3:])
	results := make([]result, len(asked))
	var pushes sync.WaitGroup
	for number := range asked {
		pushes.Add(1)
		go func() {
			defer pushes.Done()
			results[number] = push(client, asked[number])
		}()
	}
	pushes.Wait()
	if err := json.NewEncoder(os.Stdout).Encode(results); err != nil {
		log.Fatal(err)
	}
}

func push(client *apns2.Client, asked notification) result {
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
	said := result{Status: response.StatusCode, Reason: response.Reason, ID: response.ApnsID}
	if !response.Timestamp.IsZero() {
		said.Timestamp = response.Timestamp.UnixMilli()
	}
	return said
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
