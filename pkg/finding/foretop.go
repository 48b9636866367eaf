package finding

// Foretop is foretop.*: what ECS has no field for.
type Foretop struct {
	SeverityName string `json:"severity_name" redact:"-"` // informational, low, medium, high, critical
	Provider     string `json:"provider,omitempty"`       // eks, gke, aks, openshift
	// Decision is what authorization said, allow or forbid; the outcome of the request is event.outcome.
	Decision string `json:"decision,omitempty"`
	DryRun   bool   `json:"dry_run,omitempty"`
	// AddressForwarded is true where the client may have chosen source.address itself.
	AddressForwarded bool        `json:"address_forwarded,omitempty"`
	Rule             RuleExtra   `json:"rule,omitzero" redact:"-"`
	Identity         Identity    `json:"identity,omitzero"`
	Owner            Owner       `json:"owner,omitzero"`
	RoleRef          Owner       `json:"role_ref,omitzero"`
	Elements         []Element   `json:"elements,omitempty"`
	ElementsCount    int         `json:"elements_count,omitempty"`
	Respond          string      `json:"respond,omitempty" redact:"-" es:"text"`
	FalsePositives   []string    `json:"false_positives,omitempty" redact:"-" es:"text"`
	Related          []Pivot     `json:"related,omitempty"`
	Provenance       Provenance  `json:"provenance"`
	Source           SourceField `json:"source,omitzero" redact:"-"`
	// Redactions is the number of values that were replaced in this document.
	Redactions     int `json:"redactions,omitempty"`
	RequestObject  any `json:"request_object,omitempty" es:"flattened"`
	ResponseObject any `json:"response_object,omitempty" es:"flattened"`
}

// RuleExtra is foretop.rule.*.
type RuleExtra struct {
	SetHash string `json:"set_hash,omitempty"`
	Status  string `json:"status,omitempty"`
	// Because says why the level is not the rule's usual one.
	Because string `json:"because,omitempty" es:"text"`
	// Suppressed are the titles of exceptions that removed other elements of this match.
	Suppressed []string `json:"suppressed,omitempty"`
}

// Owner is a kind and a name: the controlling owner of the object, or the role that a binding names.
type Owner struct {
	Kind string `json:"kind,omitempty"`
	Name string `json:"name,omitempty"`
}

// Element is foretop.elements: one part of the request that matched, with its evidence.
type Element struct {
	Category string     `json:"category"` // request, pod, container, volume, subject, policy_rule
	Path     string     `json:"path,omitempty"`
	Name     string     `json:"name,omitempty"`
	Injected bool       `json:"injected,omitempty"`
	Evidence []Evidence `json:"evidence,omitempty"`
}

// Evidence is one field that the rule compared on an element, with what stood there.
type Evidence struct {
	Selection string   `json:"selection,omitempty" redact:"-"`
	Field     string   `json:"field,omitempty" redact:"-"`
	Values    []string `json:"values,omitempty" es:"keyword"`
}

// Pivot is a suggested next search, in Kibana's query language.
type Pivot struct {
	Title string `json:"title" redact:"-"`
	Query string `json:"query" redact:"name"`
}

// Provenance is foretop.provenance.*: what form the event came in, and what could not be known.
type Provenance struct {
	Format        string   `json:"format,omitempty"`
	Inferred      []string `json:"inferred,omitempty"`
	Missing       []string `json:"missing,omitempty"`
	Truncated     bool     `json:"truncated"`
	BodySource    string   `json:"body_source,omitempty"` // requestObject or responseObject: what was judged
	BodiesRemoved bool     `json:"bodies_removed"`
}

// SourceField is foretop.source.*: where the record was read.
type SourceField struct {
	Name     string `json:"name,omitempty"`
	Stream   string `json:"stream,omitempty"`
	Position string `json:"position,omitempty"`
	Offset   int    `json:"offset,omitempty"`
	Length   int    `json:"length,omitempty"`
}
