// Command pubsubd serves Google's fake of Pub/Sub (package pstest) to other processes, for clients that use
// PUBSUB_EMULATOR_HOST. It holds everything in memory.
//
//	pubsubd PORT ADMIN_PORT
//
// GET /messages on the second port says how often each message was delivered and acknowledged, which no client can ask.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"cloud.google.com/go/pubsub/v2/pstest"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: pubsubd PORT ADMIN_PORT")
		os.Exit(64)
	}
	var listen net.ListenConfig
	l, err := listen.Listen(context.Background(), "tcp", net.JoinHostPort("127.0.0.1", os.Args[2]))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	srv := pstest.NewServerWithAddress(net.JoinHostPort("127.0.0.1", os.Args[1]))
	mux := http.NewServeMux()
	mux.HandleFunc("GET /messages", func(w http.ResponseWriter, _ *http.Request) { answer(w, srv.Messages()) })
	admin := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = admin.Serve(l) }()
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	<-stop
	_ = admin.Close()
	_ = srv.Close()
}

// message is what is told about one.
type message struct {
	ID         string `json:"id"`
	Topic      string `json:"topic"`
	Deliveries int    `json:"deliveries"`
	Acks       int    `json:"acks"`
}

func answer(w http.ResponseWriter, all []*pstest.Message) {
	list := make([]message, len(all))
	for i, m := range all {
		list[i] = message{ID: m.ID, Topic: m.Topic, Deliveries: m.Deliveries, Acks: m.Acks}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(list)
}
