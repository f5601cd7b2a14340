// The same work in Go: goroutines and a WaitGroup, which is the least that Go offers for starting
// tasks and waiting for them, channels, and a context for cancelling them.
//
//	GOMAXPROCS=1 peer WORK SIZE [OF]
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

const (
	group    = 1000
	children = 10
	belt     = 128
	units    = 5
)

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

// together runs so many goroutines and waits for them.
func together(tasks int, task func(i int)) {
	var wait sync.WaitGroup
	wait.Add(tasks)
	for i := 0; i < tasks; i++ {
		i := i
		go func() {
			defer wait.Done()
			task(i)
		}()
	}
	wait.Wait()
}

func yield(rounds, of int) {
	tasks := of
	if tasks == 0 {
		tasks = 2
	}
	began := processorTime()
	together(tasks, func(int) {
		for n := 0; n < rounds; n++ {
			runtime.Gosched()
		}
	})
	printNs("yield", began, rounds*tasks)
}

func groups(name string, count int, task func(i int)) {
	began := processorTime()
	for g := 0; g < count; g++ {
		together(group, task)
	}
	printNs(name, began, count*group)
}

func spawn(count, _ int) {
	began := processorTime()
	for g := 0; g < count; g++ {
		var wait sync.WaitGroup
		wait.Add(group)
		for i := 0; i < group; i++ {
			go func() {
				wait.Done()
			}()
		}
		wait.Wait()
	}
	printNs("spawn", began, count*group)
}

func half(count, _ int) {
	groups("half", count, func(i int) {
		if i%2 == 1 {
			runtime.Gosched()
		}
	})
}

func blockedGroup() {
	var wait sync.WaitGroup
	event := make(chan struct{})
	waiting := int64(0)
	wait.Add(group)
	for i := 0; i < group; i++ {
		go func() {
			defer wait.Done()
			atomic.AddInt64(&waiting, 1)
			<-event
		}()
	}
	for atomic.LoadInt64(&waiting) < group {
		runtime.Gosched()
	}
	close(event)
	wait.Wait()
}

func blocked(count, _ int) {
	blockedGroup()
	began := processorTime()
	for g := 0; g < count; g++ {
		blockedGroup()
	}
	printNs("blocked", began, count*group)
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

func tree(depth, _ int) {
	leaves := int64(1)
	for ; depth > 0; depth-- {
		leaves *= children
	}
	var sum int64
	var wait sync.WaitGroup
	wait.Add(1)
	began := processorTime()
	go node(0, leaves, &sum, &wait)
	wait.Wait()
	printNs("tree", began, int(leaves))
	fmt.Printf("tree_mib %.4f\n", peakKiB()/1024)
	require(sum == leaves*(leaves-1)/2, "sum")
}

func pingpong(rounds, _ int) {
	there, back := make(chan int, 1), make(chan int, 1)
	began := processorTime()
	together(2, func(side int) {
		for n := 0; n < rounds; n++ {
			if side == 0 {
				there <- n
				require(<-back == n, "messages")
			} else {
				back <- <-there
			}
		}
	})
	printNs("pingpong", began, 2*rounds)
}

func queue(rounds, _ int) {
	items := make(chan int, belt)
	began := processorTime()
	together(2, func(side int) {
		for n := 0; n < rounds; n++ {
			if side == 0 {
				items <- n
			} else {
				require(<-items == n, "items")
			}
		}
	})
	printNs("queue", began, rounds)
}

func semaphore(rounds, _ int) {
	tokens := make(chan struct{}, units)
	began := processorTime()
	together(group, func(int) {
		for n := 0; n < rounds; n++ {
			tokens <- struct{}{}
			runtime.Gosched()
			<-tokens
		}
	})
	printNs("semaphore", began, rounds*group)
}

// timeout: two goroutines wake each other, one of them within a second.
func timeout(rounds, others int) {
	for i := 0; i < others; i++ {
		span := time.Duration(100+i%1000) * time.Second
		go time.Sleep(span)
	}
	runtime.Gosched()
	there, back := make(chan struct{}, 1), make(chan struct{}, 1)
	began := processorTime()
	together(2, func(side int) {
		for n := 0; n < rounds; n++ {
			if side == 1 {
				<-there
				back <- struct{}{}
				continue
			}
			there <- struct{}{}
			timer := time.NewTimer(time.Second)
			select {
			case <-back:
			case <-timer.C:
				require(false, "in time")
			}
			timer.Stop()
		}
	})
	printNs("timeout", began, rounds)
}

func selectOf2(c []chan int) (int, int) {
	select {
	case v := <-c[0]:
		return 0, v
	case v := <-c[1]:
		return 1, v
	}
}

func selectOf8(c []chan int) (int, int) {
	select {
	case v := <-c[0]:
		return 0, v
	case v := <-c[1]:
		return 1, v
	case v := <-c[2]:
		return 2, v
	case v := <-c[3]:
		return 3, v
	case v := <-c[4]:
		return 4, v
	case v := <-c[5]:
		return 5, v
	case v := <-c[6]:
		return 6, v
	case v := <-c[7]:
		return 7, v
	}
}

func selectOf64(c []chan int) (int, int) {
	select {
	case v := <-c[0]:
		return 0, v
	case v := <-c[1]:
		return 1, v
	case v := <-c[2]:
		return 2, v
	case v := <-c[3]:
		return 3, v
	case v := <-c[4]:
		return 4, v
	case v := <-c[5]:
		return 5, v
	case v := <-c[6]:
		return 6, v
	case v := <-c[7]:
		return 7, v
	case v := <-c[8]:
		return 8, v
	case v := <-c[9]:
		return 9, v
	case v := <-c[10]:
		return 10, v
	case v := <-c[11]:
		return 11, v
	case v := <-c[12]:
		return 12, v
	case v := <-c[13]:
		return 13, v
	case v := <-c[14]:
		return 14, v
	case v := <-c[15]:
		return 15, v
	case v := <-c[16]:
		return 16, v
	case v := <-c[17]:
		return 17, v
	case v := <-c[18]:
		return 18, v
	case v := <-c[19]:
		return 19, v
	case v := <-c[20]:
		return 20, v
	case v := <-c[21]:
		return 21, v
	case v := <-c[22]:
		return 22, v
	case v := <-c[23]:
		return 23, v
	case v := <-c[24]:
		return 24, v
	case v := <-c[25]:
		return 25, v
	case v := <-c[26]:
		return 26, v
	case v := <-c[27]:
		return 27, v
	case v := <-c[28]:
		return 28, v
	case v := <-c[29]:
		return 29, v
	case v := <-c[30]:
		return 30, v
	case v := <-c[31]:
		return 31, v
	case v := <-c[32]:
		return 32, v
	case v := <-c[33]:
		return 33, v
	case v := <-c[34]:
		return 34, v
	case v := <-c[35]:
		return 35, v
	case v := <-c[36]:
		return 36, v
	case v := <-c[37]:
		return 37, v
	case v := <-c[38]:
		return 38, v
	case v := <-c[39]:
		return 39, v
	case v := <-c[40]:
		return 40, v
	case v := <-c[41]:
		return 41, v
	case v := <-c[42]:
		return 42, v
	case v := <-c[43]:
		return 43, v
	case v := <-c[44]:
		return 44, v
	case v := <-c[45]:
		return 45, v
	case v := <-c[46]:
		return 46, v
	case v := <-c[47]:
		return 47, v
	case v := <-c[48]:
		return 48, v
	case v := <-c[49]:
		return 49, v
	case v := <-c[50]:
		return 50, v
	case v := <-c[51]:
		return 51, v
	case v := <-c[52]:
		return 52, v
	case v := <-c[53]:
		return 53, v
	case v := <-c[54]:
		return 54, v
	case v := <-c[55]:
		return 55, v
	case v := <-c[56]:
		return 56, v
	case v := <-c[57]:
		return 57, v
	case v := <-c[58]:
		return 58, v
	case v := <-c[59]:
		return 59, v
	case v := <-c[60]:
		return 60, v
	case v := <-c[61]:
		return 61, v
	case v := <-c[62]:
		return 62, v
	case v := <-c[63]:
		return 63, v
	}
}

func selects(rounds, channels int) {
	c := make([]chan int, channels)
	for i := range c {
		c[i] = make(chan int)
	}
	one := map[int]func([]chan int) (int, int){2: selectOf2, 8: selectOf8, 64: selectOf64}[channels]
	began := processorTime()
	together(2, func(side int) {
		for n := 0; n < rounds; n++ {
			if side == 1 {
				c[n%channels] <- n
				continue
			}
			index, item := one(c)
			require(index == n%channels && item == n, "what was received")
		}
	})
	printNs("select", began, rounds)
}

// peakKiB is VmHWM and VmPTE of /proc/self/status.
func peakKiB() float64 {
	sum := 0.0
	file, err := os.Open("/proc/self/status")
	require(err == nil, "memory")
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		word := strings.Fields(lines.Text())
		if word[0] == "VmHWM:" || word[0] == "VmPTE:" {
			value, _ := strconv.ParseFloat(word[1], 64)
			sum += value
		}
	}
	return sum
}

func sleepers(tasks, _ int) {
	began, start := processorTime(), time.Now()
	together(tasks, func(i int) {
		time.Sleep(time.Duration(1+i%1000) * time.Millisecond)
	})
	printNs("sleepers", began, tasks)
	fmt.Printf("sleepers_s %.4f\n", time.Since(start).Seconds())
	fmt.Printf("sleepers_peak_kib %.4f\n", peakKiB()/float64(tasks))
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

func cancelBlocked(tasks, _ int) {
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
func cancelReceive(tasks, _ int) {
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
	of := 0
	size, err := strconv.Atoi(os.Args[2])
	require(err == nil && size > 0, "size")
	if len(os.Args) > 3 {
		of, err = strconv.Atoi(os.Args[3])
		require(err == nil, "of")
	}
	work := map[string]func(size, of int){"yield": yield, "spawn": spawn, "half": half,
		"blocked": blocked, "tree": tree, "pingpong": pingpong, "queue": queue,
		"timeout": timeout, "semaphore": semaphore, "select": selects, "sleepers": sleepers,
		"cancel": cancelBlocked, "receive": cancelReceive}[os.Args[1]]
	require(work != nil, "there is no such work here")
	work(size, of)
}
