// Go's side of the network bench, with GOMAXPROCS=1.
//
//	echo_peer echo
//	echo_peer short PORT COUNT
package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"
)

const (
	message = 64
	buffer  = 4096
	atOnce  = 50
	limit   = 5 * time.Second
)

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "not measured:", err)
		os.Exit(1)
	}
}

// What the process has used so far: user and system, with a resolution of microseconds.
func processorTime() time.Duration {
	var usage syscall.Rusage
	must(syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func converse(connection net.Conn) {
	defer connection.Close()
	bytes := make([]byte, buffer)
	for {
		n, err := connection.Read(bytes)
		if err != nil {
			return
		}
		if _, err = connection.Write(bytes[:n]); err != nil {
			return
		}
	}
}

func serve() {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	must(err)
	fmt.Println("port", listener.Addr().(*net.TCPAddr).Port)
	for {
		connection, err := listener.Accept()
		must(err)
		go converse(connection)
	}
}

func request(address string) {
	deadline := time.Now().Add(limit)
	connection, err := (&net.Dialer{Deadline: deadline}).Dial("tcp4", address)
	must(err)
	defer connection.Close()
	must(connection.SetDeadline(deadline))
	ask, answer := make([]byte, message), make([]byte, message)
	copy(ask, "a short connection")
	_, err = connection.Write(ask)
	must(err)
	_, err = io.ReadFull(connection, answer)
	must(err)
	if !bytes.Equal(ask, answer) {
		must(fmt.Errorf("the answer is another"))
	}
}

func requestAll(address string, count int) {
	var all sync.WaitGroup
	slots := make(chan struct{}, atOnce)
	for i := 0; i < count; i++ {
		slots <- struct{}{}
		all.Add(1)
		go func() {
			request(address)
			<-slots
			all.Done()
		}()
	}
	all.Wait()
}

func main() {
	if os.Args[1] == "echo" {
		serve()
	}
	count, err := strconv.Atoi(os.Args[3])
	must(err)
	began := processorTime()
	requestAll("127.0.0.1:"+os.Args[2], count)
	fmt.Printf("short_ns %.1f\n", float64(processorTime()-began)/float64(count))
}
