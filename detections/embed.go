// Package detections holds the rules that Foretop ships, by ATT&CK tactic, with their tests beside them.
package detections

import "embed"

// FS holds the rules (kubernetes/<tactic>/<rule>.yml), their tests (<rule>_test.yml) and the recorded events
// that the tests start from (testdata/).
//
//go:embed kubernetes
var FS embed.FS
