// Go's HTTP/2 server: CERTIFICATE_FILE; it prints its port. Every 40th answer is followed by a GOAWAY.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
)

func main() {
	log.SetOutput(io.Discard)
	var lock sync.Mutex
	taken := []string{}
	handler := func(answer http.ResponseWriter, request *http.Request) {
		body, _ := io.ReadAll(request.Body)
		lock.Lock()
		defer lock.Unlock()
		if request.URL.Path == "/taken" {
			said, _ := json.Marshal(taken)
			answer.WriteHeader(203)
			answer.Write(said)
			return
		}
		taken = append(taken, fmt.Sprintf("%s %d", request.URL.Path, len(body)))
		if len(taken)%40 == 0 {
			answer.Header().Set("Connection", "close") // which HTTP/2 says by a GOAWAY
		}
		if strings.HasSuffix(request.URL.Path, "7") {
			answer.WriteHeader(410)
			io.WriteString(answer, `{"reason":"Unregistered"}`)
		}
	}
	server := &http.Server{
		Handler: http.HandlerFunc(handler),
		HTTP2:   &http.HTTP2Config{MaxConcurrentStreams: 7, MaxReceiveBufferPerStream: 70000},
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	go func() {
		io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	panic(server.ServeTLS(listener, os.Args[1], os.Args[1]))
}
