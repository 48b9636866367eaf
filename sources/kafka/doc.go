// Package kafka reads topics as a member of a consumer group.
//
// kafka-go's ConsumerGroup joins the group and hands out generations: the times between two rebalances, in
// which our partitions are ours. In a generation each partition has a loop of its own (partition) that fetches
// records, hands them to the pipeline in batches and follows their settlement (window). Positions are saved
// for the generation as a whole, never beyond an unsettled batch. When the generation ends, what is in flight
// has a bounded time to settle, and positions are saved meanwhile, which also keeps the coordinator from
// taking us for dead: kafka-go sends no heartbeats then. What is unsettled after that is read again by the
// next owner.
//
// Records are fetched through kafka-go's Transport, which knows leaders and keeps connections, but the answers
// are taken apart here (fetchRequest, batch, recordReader), and not by kafka-go's Reader or Client, because
// those (version 0.4.51, all of it measured)
//   - go on behind records that retention deleted, without an error, if that happens while reading;
//   - deliver the markers of transactions as records, and under read_committed the records of aborted ones;
//   - inflate a batch as a whole, whatever its size: one of 100 KB took 3.7 GB;
//   - try a batch that cannot be read again for ever, and tell only a log function;
//   - take the time that a broker may wait for the network's time limit as well, so that a link slower than
//     that never gets an answer;
//   - allocate for each record.
//
// Group and data connections are opened by package kafkaconn.
package kafka
