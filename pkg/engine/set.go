package engine

import (
	"net/netip"
	"strings"

	"github.com/foretop/foretop/pkg/event"
	"github.com/foretop/foretop/pkg/sigma"
)

// Options are what the engine must know beside the rules.
type Options struct {
	// TrustedProxies gives the addresses that sourceIPs is walked over to find the client; nil means
	// event.TrustedProxies.
	TrustedProxies func(provider string) []netip.Prefix
}

// Set is a compiled set of rules. It is immutable and safe for concurrent use; a reload compiles a new one.
type Set struct {
	options Options
	hash    string
	sources []*sigma.Rule
	rules   []rule
	slots   []slotInfo
	preds   []predicate
	memos   []memoPlan
	index   index

	header, requestBody, responseBody *trie
	metadata, podMetadata             *trie
	pod, podLists                     *trie // podLists has the lists whose elements have records of their own
	container, volume                 *trie
	subject, roleRef, policyRule      *trie

	inherited []inheritance            // of containers, as far as rules read it
	demanders [elementScope][]demander // of rules on derived records, by scope

	tagged   [len(event.Members) + 1]int // edges of the header's root by the tag that decoding leaves; the first is not used
	guesses  int32                       // how many the nodes of all tries have
	computed map[string]int32            // slots of derived fields, by path
	indexed  [len(indexedFields)]int32   // slots that the index reads
}

// Hash is the hex SHA-256 of the rule files that the set was made of.
func (s *Set) Hash() string { return s.hash }

// Rules are the rules of the set, in file order. The caller must not change them.
func (s *Set) Rules() []*sigma.Rule { return s.sources }

// slotInfo is what the set knows of a slot.
type slotInfo struct {
	path  string
	scope scope
	// tops are the top-level keys that the value comes from, as bits (see topKeys).
	tops uint32
	// body is true where the value comes from the body that the derived records are read from.
	body bool
	// needs are the audit paths whose absence from the provider's form makes the value unknown.
	needs []string
	// derive works the value out on first use; nil for slots that are captured whenever their scope begins.
	derive func(j *Judge, id int32)
}

// inBody is true for a slot that is read from a body by its path.
func (i *slotInfo) inBody() bool {
	return strings.HasPrefix(i.path, "requestObject.") || strings.HasPrefix(i.path, "responseObject.")
}

// rule is a compiled rule.
type rule struct {
	source   *sigma.Rule
	category event.Category
	program
	levels    []levelWhen
	filters   []filter
	templates []string // fields that the reason names
	// namesStage is true for a rule that is judged at RequestReceived too.
	namesStage bool
	// skipControlled leaves out matches on controlled workloads.
	skipControlled bool
	// needsRequest and needsResponse are true if a selection looks into that body by its own path.
	needsRequest, needsResponse bool
	// demands are items of which none may be false for the rule to be true. Those that look into bodies by path are
	// not among them: a rule that is refused by others never has the bodies read.
	demands []int32
}

// program is a condition over compiled selections.
type program struct {
	root       tree // condition with the selections in it
	selections []tree
	names      []string
	condition  sigma.Expr
}

type levelWhen struct {
	when    sigma.Expr
	level   sigma.Level
	because string
}

type filter struct {
	source *sigma.Filter
	program
	expires int64 // Unix nanoseconds of the event time from which the filter no longer holds; 0 = never
}

// tree is a compiled selection.
type tree struct {
	kind treeKind
	kids []tree
	pred int32
}

type treeKind uint8

const (
	leafTree treeKind = iota
	allTree
	anyTree
	notTree // of its one kid
)

// tri is a truth value of three: what a provider cannot give, or what lies behind a cut, is unknown.
type tri int8

const (
	no tri = iota
	unknown
	yes
)

func (t tri) not() tri { return yes - t }

func triOf(b bool) tri {
	if b {
		return yes
	}
	return no
}
