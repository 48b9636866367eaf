package finding

import (
	"strconv"
	"strings"

	"github.com/foretop/foretop/pkg/event"
)

const (
	maxReason       = 1024
	maxReasonValues = 5
	maxReasonValue  = 256
)

func itoa(n int) string { return strconv.Itoa(n) }

// reason is event.reason: one sentence, of at most maxReason bytes, without control characters. The
// rule's template names fields in braces; they are looked up on the first element, then on the event.
func (c *facts) reason() string {
	template := ""
	if c.match.Rule.Foretop != nil {
		template = c.match.Rule.Foretop.Reason
	}
	var sentence string
	if template == "" {
		sentence = c.plainReason()
	} else {
		sentence = c.expand(template)
	}
	more := ""
	if n := max(c.match.Count, len(c.match.Elements)); n > 1 {
		more = " and " + itoa(n-1) + " more"
	}
	sentence = strings.TrimRight(sentence, " ")
	return cut(Visible(sentence), maxReason-len(more)) + more
}

func (c *facts) expand(template string) string {
	var b strings.Builder
	for {
		before, rest, ok := strings.Cut(template, "{")
		b.WriteString(before)
		if !ok {
			return b.String()
		}
		field, after, closed := strings.Cut(rest, "}")
		if !closed {
			b.WriteString("{" + rest)
			return b.String()
		}
		if field == "objectRef.namespace" && len(c.lookup(field)) == 0 && !c.unknown(field) {
			template = strings.TrimPrefix(after, "/") // the object is cluster-wide
			continue
		}
		b.WriteString(c.say(field))
		template = after
	}
}

// say puts the values of a field into a sentence. What is absent and what is unknown are said apart.
func (c *facts) say(field string) string {
	values := c.lookup(field)
	if len(values) == 0 {
		if c.unknown(field) {
			return "(unknown)"
		}
		return c.absent(field)
	}
	shown := make([]string, 0, maxReasonValues)
	redact := redactText
	if strings.HasSuffix(field, ".username") {
		redact = redactName
	}
	for _, v := range c.values(field, head(values, maxReasonValues)) {
		v, _ = redact(v)
		shown = append(shown, cut(v, maxReasonValue))
	}
	if more := len(values) - maxReasonValues; more > 0 {
		shown = append(shown, itoa(more)+" others")
	}
	return c.withPerson(field, strings.Join(shown, ", "))
}

// withPerson adds to the name of the caller who is behind it, and to that of an impersonated identity the caller,
// where the sentence does not name it anyway.
func (c *facts) withPerson(field, name string) string {
	switch {
	case field != "user.username" && field != "user.effective.username":
		return name
	case field == "user.username" || c.ev.ImpersonatedUser == nil:
		who, _ := redactName(c.identity.person(c.ev.User.Username))
		return inParentheses(name, cut(who, maxReasonValue))
	case strings.Contains(orZero(c.match.Rule.Foretop).Reason, "{user.username}"):
		return name
	}
	return inParentheses(name, "impersonated by "+c.say("user.username"))
}

func (c *facts) absent(field string) string {
	switch field {
	case "user.username", "user.effective.username":
		return "an unauthenticated client"
	case "objectRef.name", "object.name", "objectRef.namespace":
		if c.ev.Verb != "create" {
			return "*" // a request for all
		}
	}
	return "(none)"
}

func (c *facts) lookup(field string) []string {
	if len(c.match.Elements) > 0 {
		if v := c.match.Elements[0].Fields[field]; len(v) > 0 {
			return v
		}
	}
	return nonEmpty(c.field(field))
}

func nonEmpty(in []string) []string {
	out := in[:0:0]
	for _, v := range in {
		if v != "" {
			out = append(out, v)
		}
	}
	return out
}

// unknown is true for a field that this form of record cannot carry, or that may lie behind a cut.
func (c *facts) unknown(field string) bool {
	row, found := event.Lookup(event.Category(c.match.Rule.Logsource.Category), field)
	needs := []string{field}
	if found {
		needs = append(needs, row.Needs...)
	}
	for _, missing := range c.env.Missing {
		for _, n := range needs {
			if n == missing || strings.HasPrefix(n, missing+".") {
				return true
			}
		}
	}
	return c.env.Truncated && (found && row.Derived || strings.HasPrefix(field, "re"))
}

// field resolves a field on the event itself.
func (c *facts) field(path string) []string {
	ev := c.ev
	ref, status, as := orZero(ev.ObjectRef), orZero(ev.ResponseStatus), orZero(ev.ImpersonatedUser)
	effective := ev.User
	if ev.ImpersonatedUser != nil {
		effective = as
	}
	one := func(s string) []string { return []string{s} }
	switch path {
	case "level":
		return one(ev.Level)
	case "auditID":
		return one(ev.AuditID)
	case "stage":
		return one(ev.Stage)
	case "requestURI":
		return one(ev.RequestURI)
	case "verb":
		return one(ev.Verb)
	case "user.username":
		return one(ev.User.Username)
	case "user.uid":
		return one(ev.User.UID)
	case "user.groups":
		return ev.User.Groups
	case "impersonatedUser.username":
		return one(as.Username)
	case "impersonatedUser.uid":
		return one(as.UID)
	case "impersonatedUser.groups":
		return as.Groups
	case "user.effective.username":
		return one(effective.Username)
	case "user.effective.groups":
		return effective.Groups
	case "sourceIPs":
		return ev.SourceIPs
	case "userAgent":
		return one(ev.UserAgent)
	case "objectRef.resource":
		return one(ref.Resource)
	case "objectRef.namespace":
		return one(ref.Namespace)
	case "objectRef.name", "object.name":
		return one(c.name)
	case "objectRef.uid":
		return one(c.uid)
	case "objectRef.apiGroup":
		return one(ref.APIGroup)
	case "objectRef.apiVersion":
		return one(ref.APIVersion)
	case "objectRef.subresource":
		return one(ref.Subresource)
	case "responseStatus.code":
		if status.Code == 0 {
			return nil
		}
		return one(itoa(status.Code))
	case "responseStatus.status":
		return one(status.Status)
	case "responseStatus.reason":
		return one(status.Reason)
	case "responseStatus.message":
		return one(status.Message)
	}
	return c.derivedField(path)
}

func (c *facts) derivedField(path string) []string {
	one := func(s string) []string { return []string{s} }
	switch path {
	case "outcome":
		return one(c.ev.Outcome())
	case "authorization.decision":
		return one(c.ev.Decision())
	case "authorization.reason":
		return one(c.ev.Annotations["authorization.k8s.io/reason"])
	case "dryRun":
		return one(strconv.FormatBool(c.dryRun))
	case "client.address":
		return one(c.client.Address)
	case "client.ip":
		return one(c.client.IP)
	case "client.forwarded":
		return one(strconv.FormatBool(c.forwarded))
	case "exec.command":
		return one(strings.Join(c.query["command"], " "))
	case "exec.container":
		return one(first(c.query["container"]))
	case "request.path":
		return one(urlOf(c.uri).Path)
	case "cluster.name":
		return one(c.env.Cluster.Name)
	case "cluster.id":
		return one(c.env.Cluster.ID)
	case "provider":
		return one(c.env.Provider)
	}
	if key, ok := strings.CutPrefix(path, "annotations."); ok {
		return one(c.ev.Annotations[key])
	}
	if key, ok := strings.CutPrefix(path, "user.extra."); ok {
		return c.ev.User.Extra[key]
	}
	if key, ok := strings.CutPrefix(path, "request.query."); ok {
		return c.query[key]
	}
	return nil
}

func orZero[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

// plainReason is the sentence for a rule that has no template.
func (c *facts) plainReason() string {
	what := c.say("request.path")
	if ref := c.ev.ObjectRef; ref != nil {
		what = ref.Resource
		if ref.Subresource != "" {
			what += "/" + ref.Subresource
		}
		if name := strings.Trim(ref.Namespace+"/"+c.name, "/"); name != "" {
			what += " " + name
		}
		what, _ = redactText(what)
	}
	who := c.say("user.username")
	if c.ev.ImpersonatedUser != nil {
		who += " as " + c.say("impersonatedUser.username")
	}
	return who + ": " + c.say("verb") + " " + cut(what, maxReasonValue) + " on " + c.env.Cluster.Name + " (" + c.ev.Outcome() + ")"
}
