package sigma

import (
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

var (
	auditLevels = []string{"Metadata", "Request", "RequestResponse"}
	providers   = []string{"eks", "gke", "aks"}

	ruleExtension        = []string{"needs", "reason", "respond", "controlled", "levels", "version", "owner"}
	filterExtension      = []string{"owner", "reason", "expires", "version"}
	correlationExtension = []string{"needs", "reason", "respond", "version", "owner"}
)

// readExtension reads x-foretop but for its levels, which need the selections. allowed are the keys that
// this kind of document may have.
func (d *document) readExtension(allowed []string) {
	n := value(d.root, "x-foretop")
	if n == nil {
		return
	}
	d.extension = &Extension{Controlled: "ignore"}
	if n.Kind != yaml.MappingNode {
		d.fail(n, "x-foretop must be a mapping with keys %s", strings.Join(allowed, ", "))
		return
	}
	d.unknownKeys(n, "x-foretop", allowed...)
	x := d.extension
	x.Reason = d.template(value(n, "reason"), "x-foretop.reason")
	x.Respond = d.text(value(n, "respond"), "x-foretop.respond")
	x.Version = d.text(value(n, "version"), "x-foretop.version")
	x.Owner = d.text(value(n, "owner"), "x-foretop.owner")
	x.Expires = d.expires(value(n, "expires"))
	if c := value(n, "controlled"); !isNull(c) {
		x.Controlled = d.text(c, "x-foretop.controlled")
		if x.Controlled != "ignore" && x.Controlled != "judge" {
			d.fail(c, "x-foretop.controlled is %q; write ignore or judge", clip(x.Controlled))
		}
	}
	d.readNeeds(value(n, "needs"))
}

func (d *document) readNeeds(n *yaml.Node) {
	if isNull(n) {
		return
	}
	if n.Kind != yaml.MappingNode {
		d.fail(n, "x-foretop.needs must be a mapping with keys level, providers, placeholders")
		return
	}
	d.unknownKeys(n, "x-foretop.needs", "level", "providers", "placeholders")
	needs := &d.extension.Needs
	if l := value(n, "level"); !isNull(l) {
		needs.Level = d.text(l, "x-foretop.needs.level")
		if !slices.Contains(auditLevels, needs.Level) {
			d.fail(l, "x-foretop.needs.level is %q; write one of %s", clip(needs.Level), strings.Join(auditLevels, ", "))
		}
	}
	for _, name := range d.texts(value(n, "placeholders"), "x-foretop.needs.placeholders") {
		needs.Placeholders = append(needs.Placeholders, strings.Trim(name, "%"))
	}
	p := value(n, "providers")
	if isNull(p) {
		return
	}
	if p.Kind != yaml.MappingNode {
		d.fail(p, "x-foretop.needs.providers must be a mapping of %s to yes, no or a sentence", strings.Join(providers, ", "))
		return
	}
	d.unknownKeys(p, "x-foretop.needs.providers", providers...)
	needs.Providers = make(map[string]string, len(p.Content)/2)
	for i := 0; i+1 < len(p.Content); i += 2 {
		text := d.text(p.Content[i+1], "x-foretop.needs.providers."+p.Content[i].Value)
		switch strings.ToLower(text) {
		case "true", "yes":
			text = "yes"
		case "false", "no":
			text = "no"
		case "":
			d.fail(p.Content[i+1], "x-foretop.needs.providers.%s is empty; write yes, no or what it takes", clip(p.Content[i].Value))
		}
		needs.Providers[p.Content[i].Value] = text
	}
}

// template reads a text with {field} references and checks its braces.
func (d *document) template(n *yaml.Node, key string) string {
	text := d.text(n, key)
	rest := text
	for {
		open := strings.IndexAny(rest, "{}")
		if open < 0 {
			return text
		}
		end := strings.IndexAny(rest[open+1:], "{}")
		if rest[open] == '}' || end < 0 || rest[open+1+end] == '{' {
			d.fail(n, "%s has an unmatched brace; write field references as {user.username}", key)
			return text
		}
		if strings.TrimSpace(rest[open+1:open+1+end]) == "" {
			d.fail(n, "%s has an empty reference {}; name a field in it", key)
			return text
		}
		rest = rest[open+1+end+1:]
	}
}

// expires reads a date (its end, in UTC) or an RFC 3339 time.
func (d *document) expires(n *yaml.Node) time.Time {
	text := d.text(n, "x-foretop.expires")
	if text == "" {
		return time.Time{}
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t
	}
	t, err := time.Parse(time.DateOnly, text)
	if err != nil {
		d.fail(n, "x-foretop.expires is %q; write a date such as 2026-12-31 or a time such as 2026-12-31T12:00:00Z", clip(text))
		return time.Time{}
	}
	return t.AddDate(0, 0, 1)
}

// readLevels reads x-foretop.levels over the rule's selections.
func (d *document) readLevels(det *Detection) {
	rows := value(value(d.root, "x-foretop"), "levels")
	if isNull(rows) || d.extension == nil {
		return
	}
	if rows.Kind != yaml.SequenceNode {
		d.fail(rows, "x-foretop.levels must be a list of {when, level, because}")
		return
	}
	for _, row := range rows.Content {
		if row.Kind != yaml.MappingNode {
			d.fail(row, "x-foretop.levels must be a list of {when, level, because}")
			continue
		}
		d.unknownKeys(row, "x-foretop.levels", "when", "level", "because")
		when := d.condition(value(row, "when"), det, row)
		level, err := ParseLevel(d.text(value(row, "level"), "level"))
		if err != nil {
			d.fail(row, "x-foretop.levels: %s", err)
		}
		because := d.text(value(row, "because"), "because")
		if because == "" {
			d.fail(row, "x-foretop.levels: because is missing; say why the level differs")
		}
		d.extension.Levels = append(d.extension.Levels, LevelWhen{When: when, Level: level, Because: because})
	}
}
