// Package elasticsearch writes findings and dead letters to Elasticsearch data streams, installs the
// templates behind them, and imports the Kibana dashboards.
//
// It speaks to Elasticsearch 8.14 and newer through esapi over elastictransport. Bulk requests are built
// here, because a caller must learn the fate of each document before its source may move on, and a bulk
// indexer that works in the background cannot say it.
//
// # Once
//
// A document's ID is its _id, and the operation is create: a second write of the same document is a 409,
// which counts as stored. Since ids are unique only within one backing index, the ids of a bulk are first
// looked up over the whole data stream. What remains is the refresh interval of Elasticsearch (one second
// by default): a document that was written less than that before a rollover, and is written again less
// than that after it, is stored twice.
//
// # Privileges
//
// Writing needs, on logs-foretop.*: create_doc, read, view_index_metadata, and auto_configure: labels are
// mapped when they are first seen, and a data stream that setup did not make is made by the first
// document. Setup needs the cluster privileges monitor and manage_index_templates, and on logs-foretop.*:
// manage.
package elasticsearch
