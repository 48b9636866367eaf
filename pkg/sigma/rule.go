package sigma

import (
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

var (
	statuses     = []string{"stable", "test", "experimental", "deprecated", "unsupported"}
	techniqueTag = regexp.MustCompile(`^attack\.t\d{4}(\.\d{3})?$`)
)

// readRule reads a rule of ours by log source and adds it to the collection.
func (d *document) readRule(ls Logsource) {
	r := &Rule{
		Title:       d.readTitle(),
		ID:          d.readID(true),
		Name:        d.readName(),
		Status:      d.status(),
		Description: d.text(value(d.root, "description"), "description"),
		Author:      strings.Join(d.texts(value(d.root, "author"), "author"), ", "),
		Date:        d.text(value(d.root, "date"), "date"),
		Modified:    d.text(value(d.root, "modified"), "modified"),
		License:     d.text(value(d.root, "license"), "license"),
		References:  d.texts(value(d.root, "references"), "references"),
		Tags:        d.texts(value(d.root, "tags"), "tags"),
		Level:       d.level(),
		Logsource:   ls,
		Own:         d.own,
		Source:      d.pos(d.root),
	}
	r.FalsePositives = d.texts(value(d.root, "falsepositives"), "falsepositives")
	d.taxonomy()
	d.readExtension(ruleExtension)
	r.Foretop = d.extension
	r.Detection = d.readDetection(value(d.root, "detection"), "detection")
	d.readLevels(&r.Detection)
	d.checkUnused(&r.Detection)
	if d.own {
		d.checkOwn(r.Tags)
		if len(r.FalsePositives) == 0 {
			d.fail(d.root, "falsepositives is missing; name what triggers the rule legitimately, or write [None known]")
		}
		if r.Foretop != nil && r.Foretop.Needs.Level == "" {
			d.fail(d.root, "x-foretop.needs.level is missing; write the lowest audit level that carries the fields: %s", strings.Join(auditLevels, ", "))
		}
	}
	missing := d.missingLists()
	switch {
	case d.failed:
		d.register(refRejected)
	case len(missing) > 0:
		d.register(refWaiting)
		d.loader.collection.Waiting[r.Key()] = "needs the site list " + strings.Join(missing, ", ")
		d.loader.collection.WaitingRules = append(d.loader.collection.WaitingRules, r)
	default:
		d.register(refLoaded)
		d.loader.collection.Rules = append(d.loader.collection.Rules, r)
	}
}

// missingLists are the site lists that the rule cannot do without and the site did not give.
func (d *document) missingLists() []string {
	missing := slices.Clone(d.missing)
	if d.extension != nil {
		for _, name := range d.extension.Needs.Placeholders {
			if len(d.loader.options.Placeholders[name]) == 0 {
				missing = append(missing, name)
			}
		}
	}
	slices.Sort(missing)
	return slices.Compact(missing)
}

// checkOwn holds rules and correlations of ours to what a finding needs.
func (d *document) checkOwn(tags []string) {
	for _, key := range []string{"name", "level"} {
		if isNull(value(d.root, key)) {
			d.fail(d.root, "%s is missing; a rule with x-foretop must have one", key)
		}
	}
	if !slices.ContainsFunc(tags, techniqueTag.MatchString) {
		d.fail(d.root, "tags name no ATT&CK technique; add one such as attack.t1611")
	}
	if d.extension == nil {
		return
	}
	if d.extension.Reason == "" {
		d.fail(d.root, `x-foretop.reason is missing; write one sentence with fields, such as "{user.username} deleted {objectRef.name}"`)
	}
	if d.extension.Respond == "" {
		d.fail(d.root, "x-foretop.respond is missing; say how the reader of a finding goes on")
	}
}

func (d *document) readTitle() string {
	title := d.text(value(d.root, "title"), "title")
	switch {
	case title == "":
		d.fail(d.root, "title is missing; add one line that says what the document is about")
	case len([]rune(title)) > 256:
		d.warn(value(d.root, "title"), "title is longer than 256 characters")
	}
	return title
}

// readID reads the id in lower case. strict demands a UUID even of documents that are not ours.
func (d *document) readID(strict bool) string {
	n := value(d.root, "id")
	id := d.text(n, "id")
	switch {
	case id == "" && d.own:
		d.fail(d.root, "id is missing; add a random UUID")
	case id == "" && strict:
		d.warn(d.root, "id is missing: findings are then told apart by name or title, which may change; add a random UUID")
	case id != "" && !isUUID(id) && (strict || d.own):
		d.fail(n, "id %q is no UUID; write one such as 6f0d1c7e-2b7a-4a53-9d55-0a3f4c0b7f52", clip(id))
	case id != "":
		d.claim("id", id, n)
		return refKey(id)
	}
	return ""
}

func (d *document) readName() string {
	n := value(d.root, "name")
	name := d.text(n, "name")
	if name != "" {
		d.claim("name", name, n)
	}
	return name
}

func (d *document) status() string {
	n := value(d.root, "status")
	status := strings.ToLower(d.text(n, "status"))
	if status != "" && !slices.Contains(statuses, status) {
		d.fail(n, "unknown status %q; use one of %s", clip(status), strings.Join(statuses, ", "))
	}
	return status
}

// level reads the level; Sigma makes it optional, so others' rules get medium.
func (d *document) level() Level {
	n := value(d.root, "level")
	text := d.text(n, "level")
	if text == "" {
		if !d.own {
			d.warn(d.root, "level is missing: medium is assumed")
		}
		return Medium
	}
	level, err := ParseLevel(text)
	if err != nil {
		d.fail(n, "%s", err)
	}
	return level
}

func (d *document) taxonomy() {
	n := value(d.root, "taxonomy")
	if t := d.text(n, "taxonomy"); t != "" && t != "sigma" {
		d.warn(n, "taxonomy %q is unknown: field names are taken as those of the audit event", clip(t))
	}
}

// checkUnused warns of selections that neither the condition nor a level uses: most often a typing error.
func (d *document) checkUnused(det *Detection) {
	used := make([]bool, len(det.Selections))
	markUsed(det.Condition, used)
	if d.extension != nil {
		for _, row := range d.extension.Levels {
			markUsed(row.When, used)
		}
	}
	for i, s := range det.Selections {
		if !used[i] && det.Condition != nil {
			d.problem(Position{File: d.file, Line: s.Line}, true,
				"selection "+clip(s.Name)+" is not used by the condition; use or remove it")
		}
	}
}

func markUsed(e Expr, used []bool) {
	switch e := e.(type) {
	case And:
		for _, x := range e {
			markUsed(x, used)
		}
	case Or:
		for _, x := range e {
			markUsed(x, used)
		}
	case Not:
		markUsed(e.X, used)
	case Ref:
		used[e] = true
	}
}

// unknownKeys reports keys of a mapping of ours that nobody reads.
func (d *document) unknownKeys(m *yaml.Node, where string, known ...string) {
	for i := 0; i+1 < len(m.Content); i += 2 {
		if k := m.Content[i]; !slices.Contains(known, k.Value) {
			d.fail(k, "unknown key %q in %s; known are %s", clip(k.Value), where, strings.Join(known, ", "))
		}
	}
}
