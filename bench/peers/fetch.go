// What one writes in Go for `kin fetch -j N -f FILE`: net/http, and a semaphore of N
// places that each goroutine takes. Connections are kept; pages are read and thrown away.
//
//	fetch N FILE [CA]
package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
)

func get(client *http.Client, url string) error {
	response, err := client.Get(url)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode >= 400 {
		return fmt.Errorf("%s: %s", url, response.Status)
	}
	_, err = io.Copy(io.Discard, response.Body)
	return err
}

func getAll(client *http.Client, jobs int, urls []string) {
	var group sync.WaitGroup
	places := make(chan struct{}, jobs)

	for _, url := range urls {
		places <- struct{}{}
		group.Add(1)
		go func(url string) {
			defer group.Done()
			if err := get(client, url); err != nil {
				log.Fatal(err)
			}
			<-places
		}(url)
	}
	group.Wait()
}

func trusting(path string) *tls.Config {
	pem, err := os.ReadFile(path)
	if err != nil {
		log.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		log.Fatalf("%s: no certificate", path)
	}
	return &tls.Config{RootCAs: roots}
}

func main() {
	jobs, err := strconv.Atoi(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	list, err := os.ReadFile(os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	transport := &http.Transport{MaxIdleConns: jobs, MaxIdleConnsPerHost: jobs}
	if len(os.Args) > 3 {
		transport.TLSClientConfig = trusting(os.Args[3])
	}
	getAll(&http.Client{Transport: transport}, jobs, strings.Fields(string(list)))
}
