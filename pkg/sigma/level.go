package sigma

import (
	"fmt"
	"strings"
)

// levelNames are Sigma's names, indexed by Level.
var levelNames = [...]string{"informational", "low", "medium", "high", "critical"}

// String is the name of the level in a rule file.
func (l Level) String() string {
	if l < Informational || l > Critical {
		return fmt.Sprintf("level(%d)", int(l))
	}
	return levelNames[l]
}

// Severity is the level as event.severity: 21, 47, 73 or 99. Informational shares 21 with low,
// because Kibana's scale starts there.
func (l Level) Severity() int {
	switch l {
	case Medium:
		return 47
	case High:
		return 73
	case Critical:
		return 99
	}
	return 21
}

// ParseLevel reads a level's name, in any case.
func ParseLevel(name string) (Level, error) {
	for i, known := range levelNames {
		if strings.EqualFold(name, known) {
			return Level(i), nil
		}
	}
	return 0, fmt.Errorf("unknown level %q; use one of %s", clip(name), strings.Join(levelNames[:], ", "))
}
