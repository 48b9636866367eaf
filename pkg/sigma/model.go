// Package sigma reads Sigma 2.1 documents (rules, correlations, filters) into a validated form that
// the engine compiles. It resolves modifiers, wildcards, placeholders and `1 of` expressions, and
// knows nothing of events. Specification: https://github.com/SigmaHQ/sigma-specification (2.1.0).
package sigma

import (
	"fmt"
	"net/netip"
	"regexp"
	"time"
)

// Level is a rule's severity.
type Level int

// Sigma's levels, in ascending order.
const (
	Informational Level = iota
	Low
	Medium
	High
	Critical
)

// Logsource says which log a document is about. An empty key matches any.
type Logsource struct {
	Category, Product, Service string
}

// Rule is one Sigma rule, validated. It is immutable after loading.
type Rule struct {
	Title, ID, Name, Status, Description string
	Author, Date, Modified, License      string
	References, Tags, FalsePositives     []string
	Level                                Level
	Logsource                            Logsource
	Detection                            Detection
	// Foretop is the x-foretop extension; nil in a third-party rule.
	Foretop *Extension
	// Own is true for rules that carry x-foretop: they are held to the field table, and get the
	// extension's meaning (controlled workloads).
	Own bool
	// Source is where the document starts.
	Source Position
}

// Key is the rule's ID, or its name, or its title: what a finding and a filter call it by.
func (r *Rule) Key() string {
	switch {
	case r.ID != "":
		return r.ID
	case r.Name != "":
		return r.Name
	}
	return r.Title
}

// Position is a place in a rule file. Line counts from 1.
type Position struct {
	File string
	Line int
}

func (p Position) String() string { return fmt.Sprintf("%s:%d", p.File, p.Line) }

// Detection is a set of named selections and the condition over them.
type Detection struct {
	Selections []Selection // in file order
	// Condition is over indexes of Selections; several conditions of a list are joined by Or.
	Condition Expr
}

// Selection is one named search.
type Selection struct {
	Name  string
	Match Node
	Line  int
}

// Expr is a condition: And, Or, Not or Ref. `1 of` and `all of` are resolved to these at load time.
type Expr interface{ expr() }

type (
	// And is true if all are.
	And []Expr
	// Or is true if any is.
	Or []Expr
	// Not negates.
	Not struct{ X Expr }
	// Ref is the index of a selection.
	Ref int
)

func (And) expr() {}
func (Or) expr()  {}
func (Not) expr() {}
func (Ref) expr() {}

// Node is the tree inside a selection: AllOf (a map), AnyOf (a list) or *Item.
type Node interface{ node() }

type (
	// AllOf is a map of items: all must hold.
	AllOf []Node
	// AnyOf is a list of maps or keywords: one must hold.
	AnyOf []Node
)

func (AllOf) node() {}
func (AnyOf) node() {}
func (*Item) node() {}

// Op is what an Item does with its values.
type Op int

const (
	// OpMatch compares with Value.Kind String, Number, Bool or Null; contains, startswith and endswith
	// are wildcards in the value's Pattern.
	OpMatch Op = iota
	// OpRegexp searches Value.Regexp in the field's text.
	OpRegexp
	// OpCIDR tests an address against Value.Prefix.
	OpCIDR
	// OpExists tests presence (Value.Bool).
	OpExists
	// OpFieldRef compares with the values of the field named in Value.Text (any pair).
	OpFieldRef
	// OpLT to OpGTE compare numbers.
	OpLT
	OpLTE //nolint:revive // the comment of OpLT is for all four
	OpGT
	OpGTE
	// OpTime compares Item.TimePart of an RFC 3339 field with Value.Number.
	OpTime
)

// Item is one field with its values. Field is as written in the rule (aliases are the engine's); an
// empty Field is a keyword search over the whole event.
type Item struct {
	Field string
	Op    Op
	// All demands every value (modifier all); otherwise one suffices.
	All bool
	// Neg is the modifier neq: true if no value matches.
	Neg bool
	// Cased compares with case.
	Cased bool
	// Affix is the comparison of OpFieldRef: "" equal, or startswith, endswith, contains.
	Affix string
	// TimePart is minute, hour, day, week, month or year for OpTime.
	TimePart string
	Values   []Value
	Line     int
}

// Kind is the type of a Value.
type Kind int

// Kinds of values.
const (
	String Kind = iota
	Number
	Bool
	Null
)

// Value is one value of an Item.
type Value struct {
	Kind Kind
	// Text is the value without wildcards and escapes (String), or as written (Number, Bool).
	Text string
	// Pattern is set for a String with wildcards, and nil otherwise.
	Pattern []Part
	Number  float64
	Bool    bool
	Regexp  *regexp.Regexp
	Prefix  netip.Prefix
}

// Part is a piece of a wildcard pattern: a literal, `?` (One) or `*` (Many).
type Part struct {
	Literal string
	Wild    Wild
}

// Wild is the kind of a wildcard part.
type Wild byte

// Parts that are no literals.
const (
	Literal Wild = iota
	One
	Many
)

// Extension is the x-foretop mapping of a rule or a filter.
type Extension struct {
	// Needs: what the rule cannot do without.
	Needs Needs
	// Reason is the template of event.reason with {field} references (rules), or why the exception
	// exists (filters).
	Reason string
	// Respond says how to go on.
	Respond string
	// Controlled is "ignore" (default: matches on controlled workloads are counted, not reported) or "judge".
	Controlled string
	// Levels overrides the rule's level: the first true one decides.
	Levels []LevelWhen
	// Version of the rule, for the finding.
	Version string
	// Owner and Expires are of filters: who answers for the exception, and until which event time it holds.
	Owner   string
	Expires time.Time
}

// Needs is what a rule requires to be able to fire.
type Needs struct {
	// Level is the lowest audit level that carries the fields: Metadata, Request or RequestResponse.
	Level string
	// Providers maps eks, gke, aks to yes, no, or a sentence that says what it takes.
	Providers map[string]string
	// Placeholders are site lists without which the rule is left out (counted, never an error).
	Placeholders []string
}

// LevelWhen is one row of x-foretop.levels.
type LevelWhen struct {
	When    Expr
	Level   Level
	Because string
}

// Filter is a Sigma filter: its condition is joined to that of the rules it names, so an exclusion
// is written `not selection`.
type Filter struct {
	Title, ID, Name, Description string
	Logsource                    Logsource
	// Rules are ids or names; All is true for `any` and `all`.
	Rules     []string
	All       bool
	Detection Detection
	Foretop   *Extension
	Source    Position
}

// Correlation is a Sigma correlation, parsed and validated. The engine counts them as loaded and not
// yet run.
type Correlation struct {
	Title, ID, Name, Description string
	Level                        Level
	Tags                         []string
	Type                         string // event_count, value_count, temporal, temporal_ordered, value_sum, value_avg, value_percentile, new_value
	Rules                        []string
	GroupBy                      []string
	Timespan                     time.Duration
	Field                        string
	Fields                       []string           // all fields, where the condition lists several; Field is the first
	Percentile                   int                // 1 to 100, of value_percentile
	Bounds                       map[string]float64 // gt, gte, lt, lte, eq, neq
	Aliases                      map[string]map[string]string
	Generate                     bool
	Foretop                      *Extension
	Source                       Position
}

// Problem is a document, or a part of one, that cannot be used, with what to do about it.
type Problem struct {
	Source  Position
	Title   string // of the document, if it could be read
	Message string
	// Warning problems do not reject the document.
	Warning bool
}

func (p Problem) Error() string { return p.Source.String() + ": " + p.Message }

// Collection is what a set of rule files holds.
type Collection struct {
	Rules        []*Rule
	Filters      []*Filter
	Correlations []*Correlation
	// Skipped counts documents for another log source, by product/service/category.
	Skipped map[string]int
	// Waiting are rules of ours left out because a site list they need is not given, by rule key.
	Waiting map[string]string
	// WaitingRules are the rules that Waiting names, for listing: without the lists their selections are
	// not what they say, so they must not be compiled.
	WaitingRules []*Rule
	// Problems are errors and warnings, in file order.
	Problems []Problem
	// Hash is the hex SHA-256 over all files read, in order.
	Hash string
}
