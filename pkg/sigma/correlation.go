package sigma

import (
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// correlationTypes maps each type to whether it counts values of a field.
var correlationTypes = map[string]bool{
	"event_count": false, "value_count": true, "temporal": false, "temporal_ordered": false,
	"value_sum": true, "value_avg": true, "value_percentile": true, "new_value": true,
}

var (
	boundNames      = []string{"gt", "gte", "lt", "lte", "eq", "neq"}
	correlationKeys = []string{"type", "rules", "group-by", "timespan", "condition", "aliases", "generate"}
	timespan        = regexp.MustCompile(`^([0-9]{1,9})([smhd])$`)
)

const maxTimespan = 366 * 24 * time.Hour

// correlations reads the correlations, which had to wait for the rules: one whose rules are all for other
// log sources is for another log source, too.
func (l *loader) correlations() {
	pending := l.pending
	for again := true; again; {
		again = false
		var rest []*document
		for _, d := range pending {
			if key, foreign := d.foreignCorrelation(); foreign {
				d.skip(key)
				again = true
				continue
			}
			rest = append(rest, d)
		}
		pending = rest
	}
	for _, d := range pending {
		if d.checkStructure(d.root, 0); d.failed {
			d.register(refRejected)
			continue
		}
		d.readCorrelation()
	}
}

// foreignCorrelation is true if every rule that the correlation names was skipped.
func (d *document) foreignCorrelation() (key string, foreign bool) {
	rules := value(value(d.root, "correlation"), "rules")
	if d.own || rules == nil {
		return "", false
	}
	nodes := rules.Content
	if rules.Kind == yaml.ScalarNode {
		nodes = []*yaml.Node{rules}
	}
	for _, n := range nodes {
		k, skipped := d.loader.skippedRef[refKey(n.Value)]
		if !skipped {
			return "", false
		}
		key = k
	}
	return key, len(nodes) > 0
}

func (d *document) readCorrelation() {
	n := value(d.root, "correlation")
	c := &Correlation{
		Title:       d.readTitle(),
		ID:          d.readID(false),
		Name:        d.readName(),
		Description: d.text(value(d.root, "description"), "description"),
		Level:       d.level(),
		Tags:        d.texts(value(d.root, "tags"), "tags"),
		Source:      d.pos(d.root),
	}
	d.status()
	d.readExtension(correlationExtension)
	c.Foretop = d.extension
	if d.own {
		d.checkOwn(c.Tags)
	}
	if n.Kind != yaml.MappingNode {
		d.fail(n, "correlation must be a mapping with keys %s", strings.Join(correlationKeys, ", "))
	} else {
		d.unknownKeys(n, "correlation", correlationKeys...)
		d.correlationBody(n, c)
	}
	if d.failed {
		d.register(refRejected)
		return
	}
	d.register(refLoaded)
	d.loader.collection.Correlations = append(d.loader.collection.Correlations, c)
}

func (d *document) correlationBody(n *yaml.Node, c *Correlation) {
	t := value(n, "type")
	c.Type = strings.ToLower(d.text(t, "correlation.type"))
	if _, known := correlationTypes[c.Type]; !known {
		names := []string{"event_count", "value_count", "temporal", "temporal_ordered", "value_sum", "value_avg", "value_percentile", "new_value"}
		d.fail(orNode(t, n), "correlation.type is %q; use one of %s", clip(c.Type), strings.Join(names, ", "))
	}
	if c.Rules = d.texts(value(n, "rules"), "correlation.rules"); len(c.Rules) == 0 {
		d.fail(n, "correlation.rules is missing; list the ids or names of rules")
	}
	c.GroupBy = d.texts(value(n, "group-by"), "correlation.group-by")
	c.Timespan = d.timespan(n)
	d.bounds(n, c)
	d.aliases(value(n, "aliases"), c)
	// The first drafts had generate inside the correlation, the specification has it beside it.
	for _, g := range []*yaml.Node{value(n, "generate"), value(d.root, "generate")} {
		if isNull(g) {
			continue
		}
		if g.Kind != yaml.ScalarNode || g.ShortTag() != "!!bool" {
			d.fail(g, "generate must be true or false")
			continue
		}
		c.Generate = strings.EqualFold(g.Value, "true")
	}
}

func orNode(n, fallback *yaml.Node) *yaml.Node {
	if n == nil {
		return fallback
	}
	return n
}

func (d *document) timespan(correlation *yaml.Node) time.Duration {
	n := value(correlation, "timespan")
	text := d.text(n, "correlation.timespan")
	m := timespan.FindStringSubmatch(text)
	if m == nil {
		d.fail(orNode(n, correlation), "correlation.timespan is %q; write a number and one of s, m, h, d, such as 5m", clip(text))
		return 0
	}
	count, _ := strconv.Atoi(m[1]) // at most nine digits
	unit := map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour}[m[2]]
	if count == 0 || time.Duration(count) > maxTimespan/unit {
		d.fail(n, "correlation.timespan %s is out of range; use more than 0s and at most 366d", clip(text))
		return 0
	}
	return time.Duration(count) * unit
}

// bounds reads the condition and checks that it fits the type.
func (d *document) bounds(correlation *yaml.Node, c *Correlation) {
	n := value(correlation, "condition")
	values := correlationTypes[c.Type]
	temporal := c.Type == "temporal" || c.Type == "temporal_ordered"
	if !isNull(n) && n.Kind != yaml.MappingNode {
		d.fail(n, "correlation.condition must be a mapping such as {gte: 10}; conditions as text are not supported")
		return
	}
	if n != nil {
		d.readBounds(n, c)
	}
	switch {
	case values && c.Type != "new_value" && c.Field == "":
		d.fail(orNode(n, correlation), "correlation.condition.field is missing; %s needs the field whose values it reads", c.Type)
	case !values && c.Field != "":
		d.fail(n, "correlation.condition.field belongs to the value types; %s counts events", clip(c.Type))
	case c.Type == "new_value" && len(c.Bounds) > 0:
		d.fail(n, "new_value has no bounds: it fires on the first event of each value")
	case c.Type == "new_value" && c.Field == "" && len(c.GroupBy) == 0:
		d.fail(correlation, "new_value needs correlation.condition.field, or group-by for new combinations")
	case len(c.Bounds) == 0 && !temporal && c.Type != "new_value":
		d.fail(orNode(n, correlation), "correlation.condition is missing a bound; add one such as gte: 10")
	}
	if c.Type == "value_percentile" && c.Percentile == 0 {
		d.fail(orNode(n, correlation), "correlation.condition.percentile is missing; write a number from 1 to 100")
	}
	if c.Type != "value_percentile" && c.Percentile != 0 {
		d.fail(n, "correlation.condition.percentile belongs to value_percentile, not to %s", clip(c.Type))
	}
}

func (d *document) readBounds(n *yaml.Node, c *Correlation) {
	c.Bounds = map[string]float64{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		switch {
		case k.Value == "field":
			c.Fields = d.texts(v, "correlation.condition.field")
			if len(c.Fields) > 0 {
				c.Field = c.Fields[0]
			}
		case k.Value == "percentile":
			p, ok := number(v)
			if !ok || p != math.Trunc(p) || p < 1 || p > 100 {
				d.fail(v, "correlation.condition.percentile is %q; write a whole number from 1 to 100", clip(v.Value))
				continue
			}
			c.Percentile = int(p)
		case slices.Contains(boundNames, k.Value):
			f, ok := number(v)
			if !ok {
				d.fail(v, "correlation.condition.%s must be a number, not %q", k.Value, clip(v.Value))
				continue
			}
			c.Bounds[k.Value] = f
		default:
			d.fail(k, "unknown key %q in correlation.condition; known are field, percentile, %s", clip(k.Value), strings.Join(boundNames, ", "))
		}
	}
	if len(c.Bounds) > 2 {
		d.fail(n, "correlation.condition has %d bounds; write one, or two for a range", len(c.Bounds))
	}
}

func (d *document) aliases(n *yaml.Node, c *Correlation) {
	if isNull(n) {
		return
	}
	if n.Kind != yaml.MappingNode {
		d.fail(n, "correlation.aliases must map each alias to {rule: field}")
		return
	}
	c.Aliases = make(map[string]map[string]string, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		alias, fields := n.Content[i], n.Content[i+1]
		if fields.Kind != yaml.MappingNode {
			d.fail(fields, "correlation.aliases.%s must map rules to fields", clip(alias.Value))
			continue
		}
		m := make(map[string]string, len(fields.Content)/2)
		for j := 0; j+1 < len(fields.Content); j += 2 {
			rule := fields.Content[j]
			if !slices.Contains(c.Rules, rule.Value) {
				d.warn(rule, "correlation.aliases.%s names the rule %s, which is not under rules", clip(alias.Value), clip(rule.Value))
			}
			m[rule.Value] = d.text(fields.Content[j+1], "correlation.aliases."+alias.Value)
		}
		c.Aliases[alias.Value] = m
	}
}

// checkCorrelations warns of rules that are not there, and rejects correlations that rest on themselves.
func (l *loader) checkCorrelations() {
	byRef := map[string]*Correlation{}
	for _, c := range l.collection.Correlations {
		for _, ref := range []string{c.ID, c.Name} {
			if ref != "" {
				byRef[refKey(ref)] = c
			}
		}
	}
	l.collection.Correlations = slices.DeleteFunc(l.collection.Correlations, func(c *Correlation) bool {
		for _, ref := range c.Rules {
			if problem := l.unresolved(ref); problem != "" {
				l.warnAt(c.Source, c.Title, "the correlation names the rule "+clip(ref)+", which "+problem)
			}
		}
		if !circular(c, byRef) {
			return false
		}
		l.problemAt(c.Source, c.Title, "the correlation refers to itself, directly or through others; break the circle", false)
		return true
	})
}

// circular is true if c can be reached from c.
func circular(c *Correlation, byRef map[string]*Correlation) bool {
	visited := map[*Correlation]bool{}
	queue := []*Correlation{c}
	for len(queue) > 0 {
		next := queue[0]
		queue = queue[1:]
		for _, ref := range next.Rules {
			to := byRef[refKey(ref)]
			if to == c {
				return true
			}
			if to != nil && !visited[to] {
				visited[to] = true
				queue = append(queue, to)
			}
		}
	}
	return false
}
