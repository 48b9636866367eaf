package decode

import "bytes"

// tableColumns are the columns of the tables AKSAudit and AKSAuditAdmin of Azure Monitor, as an export of the
// workspace has them, with the members of an event that they are made of:
// https://learn.microsoft.com/azure/azure-monitor/reference/tables/aksaudit
var tableColumns = []struct{ column, member string }{
	{"Level", "level"}, {"AuditId", "auditID"}, {"Stage", "stage"}, {"RequestUri", "requestURI"}, {"Verb", "verb"}, {"User", "user"},
	{"SourceIps", "sourceIPs"}, {"UserAgent", "userAgent"}, {"ObjectRef", "objectRef"}, {"ResponseStatus", "responseStatus"},
	{"RequestObject", "requestObject"}, {"ResponseObject", "responseObject"}, {"RequestReceivedTime", "requestReceivedTimestamp"},
	{"StageReceivedTime", "stageTimestamp"}, {"Annotations", "annotations"},
}

// tableMissing has no column.
var tableMissing = []string{"impersonatedUser", "authenticationMetadata"}

func isTableRow(o *object) bool {
	return o.has(keyAuditIDColumn) && o.has(keyVerbColumn) && o.has(keyRequestURIColumn)
}

// tableRow decodes one row of such a table.
func (d *Decoder) tableRow(o *object, sc *scope) outcome {
	if d.level >= maxNest {
		return nestedTooDeep(o.b)
	}
	inner := sc.wrapped(FormatAKS, o.b)
	inner.composed = true
	inner.env.Missing = tableMissing
	inner.env.Cloud.Provider = "azure"
	if kind, _ := unquote(d.find(o.b, "Type"), &d.scratch); !bytes.HasPrefix(kind, []byte("Arc")) { // Arc: clusters elsewhere
		inner.env.Provider = "aks"
	}
	d.azureResource(o, &inner)
	if t, ok := d.timeValue(d.find(o.b, "TimeGenerated")); ok {
		inner.env.Time = t
	}
	members, built := len(d.members), len(d.built)
	b := d.built
	b = append(b, `{"kind":"Event","apiVersion":"audit.k8s.io/v1"`...)
	for _, c := range tableColumns {
		if value := d.tableValue(d.find(o.b, c.column)); value != nil {
			b = append(append(append(append(b, `,"`...), c.member...), `":`...), value...)
		}
	}
	b = append(b, '}')
	d.built = b
	row := &d.objects[d.level]
	d.scanObject(d.built[built:], 0, row)
	d.level++
	out := d.event(row, &inner, o.cut)
	d.level--
	d.members, d.built = d.members[:members], d.built[:built]
	out.remark.raw = o.b
	return out
}

// tableValue gives a column's value, nil if it is empty. Dynamic columns arrive as JSON or as its text.
func (d *Decoder) tableValue(raw []byte) []byte {
	if len(raw) < 3 || raw[0] != '"' || raw[1] != '{' && raw[1] != '[' {
		if len(raw) == 0 || string(raw) == `""` || string(raw) == "null" {
			return nil
		}
		return raw
	}
	text, _ := unquote(raw, &d.scratch)
	if end, v := d.scan.value(text, 0); v == valueDone && skipSpace(text, end) == len(text) {
		return text
	}
	return raw
}
