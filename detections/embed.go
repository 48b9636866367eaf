// Package detections holds the rules that Foretop ships, by ATT&CK tactic, with their tests beside them.
package detections

import "embed"

// FS holds the rules (kubernetes/<tactic>/<rule>.yml), the exceptions over several rules (filters/), the tests of both
// (<rule>_test.yml) and the recorded events that the tests start from (testdata/).
//
//go:embed kubernetes filters testdata/*.json
var FS embed.FS

// Story is a recorded attack story among ordinary work: gzip-compressed audit.k8s.io/v1 events, one a line.
//
//go:embed testdata/story.ndjson.gz
var Story []byte
