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
// rule's template names fields in braces, whose values the engine has put into the first element.
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
func (c *facts) say(field string) string { return c.phrase(field, c.lookup(field)...) }

func (c *facts) phrase(field string, values ...string) string {
	if values = nonEmpty(values); len(values) == 0 {
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
	return inParentheses(name, "impersonated by "+c.phrase("user.username", c.ev.User.Username))
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
		if v := nonEmpty(c.match.Elements[0].Fields[field]); len(v) > 0 {
			return v
		}
	}
	if field == "objectRef.name" && c.name != "" { // the server made it up
		return []string{c.name}
	}
	return nil
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

func orZero[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

// plainReason is the sentence for a rule that has no template.
func (c *facts) plainReason() string {
	what := c.phrase("request.path", urlOf(c.uri).Path)
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
	who := c.phrase("user.username", c.ev.User.Username)
	if c.ev.ImpersonatedUser != nil {
		who += " as " + c.phrase("impersonatedUser.username", c.ev.ImpersonatedUser.Username)
	}
	return who + ": " + c.phrase("verb", c.ev.Verb) + " " + cut(what, maxReasonValue) + " on " + c.env.Cluster.Name + " (" + c.ev.Outcome() + ")"
}
