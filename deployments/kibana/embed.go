// Package kibana holds the dashboards of Foretop in the form that Kibana imports: one saved object a line.
// `foretop setup kibana` imports them, as does Stack Management > Saved Objects > Import.
//
// The file is generated; change generate/ and run go generate.
package kibana

import _ "embed"

//go:generate go run ./generate -o foretop.ndjson

// SavedObjects is the import file: a data view, a saved search and the dashboard "Foretop: overview".
//
//go:embed foretop.ndjson
var SavedObjects []byte
