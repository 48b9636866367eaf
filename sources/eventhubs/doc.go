// Package eventhubs reads Azure Event Hubs, to which the diagnostic settings of AKS send audit logs, through the Kafka
// endpoint of a namespace. The consumer is that of package kafka; this package is its configuration, its logins and
// the words of its errors.
//
// What is particular, from https://learn.microsoft.com/azure/event-hubs/apache-kafka-frequently-asked-questions and
// https://learn.microsoft.com/azure/event-hubs/apache-kafka-configurations:
//   - the tiers Standard, Premium and Dedicated have the endpoint, Basic has not;
//   - it speaks TLS 1.2 or later on port 9093, and SASL: PLAIN with the user $ConnectionString and the connection
//     string as password, or OAUTHBEARER with a token of Microsoft Entra ID for the namespace;
//   - a consumer group is one of the namespace, not of a hub, and comes into being by being used;
//   - connections without traffic end after four minutes, and those of a token with the token; package kafka connects
//     anew, and what was not saved is read again;
//   - who reads more than its throughput units (2 MB a second each) gets slow answers, with a time to wait in them.
package eventhubs
