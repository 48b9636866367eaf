// Command barereader reads a partition of a topic from its beginning with a plain kafka-go Reader, and does nothing with
// what it reads but count: what anything that reads Kafka through that client costs at least.
//
//	barereader BROKER TOPIC MESSAGES
//
// It prints the number of bytes of the values, and the most memory that it held.
package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/segmentio/kafka-go"
)

func main() {
	if err := read(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "barereader:", err)
		os.Exit(1)
	}
}

func read(args []string) error {
	if len(args) != 3 {
		return fmt.Errorf("%d arguments, want broker, topic and messages", len(args))
	}
	messages, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	r := kafka.NewReader(kafka.ReaderConfig{Brokers: args[:1], Topic: args[1], MinBytes: 1, MaxBytes: maxFetch})
	defer r.Close()
	if err := r.SetOffset(kafka.FirstOffset); err != nil {
		return err
	}
	size := 0
	for range messages {
		m, err := r.ReadMessage(context.Background())
		if err != nil {
			return err
		}
		size += len(m.Value)
	}
	fmt.Println("bytes", size)
	return peak()
}

// maxFetch is the size of an answer that Foretop asks for by default.
const maxFetch = 4 << 20

// peak prints the most memory that this process held. The kernel knows it while the process lives only.
func peak() error {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			fmt.Println("peak", strings.TrimSpace(rest))
		}
	}
	return nil
}
