// Package pubsub reads the subscriptions through which Cloud Logging hands on the audit logs of GKE.
//
// A reader per subscription pulls with the client library's streams. The library calls back once a message, and its
// limits hold for as long as the callback runs, not until the message is acknowledged (version 2.8.0, measured). So
// a callback puts its message into a batch with those of the callbacks beside it (collector), waits until the
// pipeline has settled the batch, acknowledges and returns: memory is bounded, and messages with one ordering key
// come one after the other.
//
// A message is given back (a negative acknowledgement) only when the source stops, so that other replicas get it at
// once. A batch that fails while the source runs is offered again from memory, because each delivery counts towards
// the limit of a dead letter policy, which would carry the message away from us during an outage of a sink.
//
// The library keeps most of its troubles to itself: it opens streams again for ever, and does not tell of an
// acknowledgement that failed unless the subscription has exactly-once delivery. A watch sees the calls that it
// makes, for health and metrics, and to know at the end that the last acknowledgements have been sent.
package pubsub
