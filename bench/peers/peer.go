// The same work as yield.c, spawn.c, tree.c, sleepers.c and cancel.c in Go: goroutines and a
// WaitGroup, which is the least that Go offers for starting tasks and waiting for them, and a
// context for cancelling them.
//
//	GOMAXPROCS=1 peer yield|spawn|tree|sleepers|cancel|receive SIZE
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const children = 10

// processorTime is what the process has used so far: as bench.h has it.
func processorTime() int64 {
	var usage syscall.Rusage
	err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	require(err == nil, "time")
	return usage.Utime.Nano() + usage.Stime.Nano()
}

func printNs(name string, began int64, operations int) {
	fmt.Printf("%s %.4f\n", name, float64(processorTime()-began)/float64(operations))
}

func require(done bool, what string) {
	if !done {
		fmt.Fprintln(os.Stderr, "not measured:", what)
		os.Exit(1)
	}
}

func yield(rounds int) {
	var wait sync.WaitGroup
	began := processorTime()
	for i := 0; i < 2; i++ {
		wait.Add(1)
		go func() {
			defer wait.Done()
			for n := 0; n < rounds; n++ {
				runtime.Gosched()
			}
		}()
	}
	wait.Wait()
	printNs("yield", began, 2*rounds)
}

func spawn(groups int) {
	const tasks = 1000
	began := processorTime()
	for g := 0; g < groups; g++ {
		var wait sync.WaitGroup
		wait.Add(tasks)
		for i := 0; i < tasks; i++ {
			go func() {
				wait.Done()
			}()
		}
		wait.Wait()
	}
	printNs("spawn", began, groups*tasks)
}

func node(first, leaves int64, sum *int64, parent *sync.WaitGroup) {
	defer parent.Done()
	if leaves == 1 {
		*sum = first
		return
	}
	var sums [children]int64
	var wait sync.WaitGroup
	wait.Add(children)
	for i := int64(0); i < children; i++ {
		go node(first+i*leaves/children, leaves/children, &sums[i], &wait)
	}
	wait.Wait()
	for _, s := range sums {
		*sum += s
	}
}

func tree(depth int) {
	leaves, tasks := int64(1), 1
	for ; depth > 0; depth-- {
		leaves *= children
		tasks += int(leaves)
	}
	var sum int64
	var wait sync.WaitGroup
	wait.Add(1)
	began := processorTime()
	go node(0, leaves, &sum, &wait)
	wait.Wait()
	printNs("tree", began, tasks)
	require(sum == leaves*(leaves-1)/2, "sum")
}

// processKiB is VmRSS and VmPTE of /proc/self/status.
func processKiB() float64 {
	sum := 0.0
	file, err := os.Open("/proc/self/status")
	require(err == nil, "memory")
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		word := strings.Fields(lines.Text())
		if word[0] == "VmRSS:" || word[0] == "VmPTE:" {
			value, _ := strconv.ParseFloat(word[1], 64)
			sum += value
		}
	}
	return sum
}

func sleepers(tasks int) {
	var wait sync.WaitGroup
	asleep, kib := int64(0), 0.0
	start := time.Now()
	wait.Add(tasks)
	for i := 0; i < tasks; i++ {
		i := i
		go func() {
			defer wait.Done()
			if atomic.AddInt64(&asleep, 1) == int64(tasks) {
				kib = processKiB()
			}
			time.Sleep(time.Until(start.Add(8*time.Second + time.Duration(1+i%1000)*time.Millisecond)))
		}()
	}
	wait.Wait()
	require(kib > 0, "memory")
	fmt.Printf("sleepers_kib %.4f\n", kib/float64(tasks))
}

// cancelAll starts the tasks, lets cancel loose when all of them wait, and requires that each says
// that it was cancelled. They count their arrival right before they wait, hence the pause.
func cancelAll(tasks int, task func(i int) bool, cancel func()) {
	var wait sync.WaitGroup
	arrived, cancelled := int64(0), int64(0)
	wait.Add(tasks)
	for i := 0; i < tasks; i++ {
		i := i
		go func() {
			defer wait.Done()
			atomic.AddInt64(&arrived, 1)
			if task(i) {
				atomic.AddInt64(&cancelled, 1)
			}
		}()
	}
	for atomic.LoadInt64(&arrived) < int64(tasks) {
		runtime.Gosched()
	}
	runtime.GC()
	time.Sleep(50 * time.Millisecond)
	began := processorTime()
	cancel()
	returned := processorTime()
	wait.Wait()
	printNs("joined", began, tasks)
	fmt.Printf("call %.4f\n", float64(returned-began)/float64(tasks))
	require(cancelled == int64(tasks), "cancelled")
}

func cancelBlocked(tasks int) {
	ctx, cancel := context.WithCancel(context.Background())
	event := make(chan struct{})
	task := func(i int) bool {
		if i%2 == 0 {
			select {
			case <-ctx.Done():
				return true
			case <-event:
				return false
			}
		}
		hour := time.NewTimer(time.Hour)
		defer hour.Stop()
		select {
		case <-ctx.Done():
			return true
		case <-hour.C:
			return false
		}
	}
	cancelAll(tasks, task, cancel)
}

var listeners []net.Listener

// connections that nobody has accepted: as in cancel.c they wait in their listeners.
func connections(count int) []net.Conn {
	const queue = 1000
	conns := make([]net.Conn, count)
	for i := range conns {
		if i%queue == 0 {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			require(err == nil, "listener")
			listeners = append(listeners, listener)
		}
		conn, err := net.Dial("tcp", listeners[i/queue].Addr().String())
		require(err == nil, "connection")
		conns[i] = conn
	}
	return conns
}

// cancelReceive: a context does not reach into a read; a deadline in the past does.
func cancelReceive(tasks int) {
	ctx, cancel := context.WithCancel(context.Background())
	conns := connections(tasks)
	task := func(i int) bool {
		var b [1]byte
		_, err := conns[i].Read(b[:])
		return errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() != nil
	}
	cancelAll(tasks, task, func() {
		cancel()
		past := time.Unix(1, 0)
		for _, conn := range conns {
			conn.SetReadDeadline(past)
		}
	})
}

func main() {
	size, err := strconv.Atoi(os.Args[2])
	require(err == nil && size > 0, "size")
	map[string]func(int){"yield": yield, "spawn": spawn, "tree": tree, "sleepers": sleepers,
		"cancel": cancelBlocked, "receive": cancelReceive}[os.Args[1]](size)
}
