// Command pubsubd serves Google's fake of Pub/Sub (package pstest) to other processes, for clients that use
// PUBSUB_EMULATOR_HOST. It holds everything in memory.
//
//	pubsubd PORT ADMIN_PORT
//
// GET /messages on the second port says how often each message was delivered and acknowledged, which no client can ask.
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"cloud.google.com/go/pubsub/v2/pstest"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) != 3 {
		log.Fatal("usage: pubsubd PORT ADMIN_PORT")
	}
	port, err := strconv.Atoi(os.Args[1])
	if err != nil {
		log.Fatalf("PORT: %v", err)
	}
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", os.Args[2]))
	if err != nil {
		log.Fatal(err)
	}
	srv := pstest.NewServerWithAddress(fmt.Sprintf("127.0.0.1:%d", port))
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
