package decode

import (
	"bytes"
	"strings"
)

// azure decodes diagnostic records of Azure Monitor, as Event Hubs and storage accounts carry them, alone or
// in a batch; and the batches of Firehose's HTTP delivery, which bear the same name. Sources:
// https://learn.microsoft.com/azure/azure-monitor/platform/resource-logs-schema
// https://docs.aws.amazon.com/firehose/latest/dev/httpdeliveryrequestresponse.html
func (d *Decoder) azure(o *object, sc *scope) (outcome, bool) {
	if list := o.rawOrPartial(keyRecords); len(list) > 0 && list[0] == '[' {
		inner := *sc
		inner.element = elementRecord
		o.enter(list)
		_, out := d.arrayAt(list, 0, &inner)
		return out, true
	}
	switch {
	case isTableRow(o):
		return d.tableRow(o, sc), true
	case isAzureRecord(o):
		return d.azureRecord(o, sc), true
	}
	return outcome{}, false
}

func isAzureRecord(o *object) bool {
	return o.has(keyCategory) && (o.slot[keyProperties] != 0 || o.has(keyResourceID) || o.has(keyOperationName) || o.has(keyLogS)) ||
		o.has(keyMetricName) && o.has(keyResourceID)
}

// recordElement decodes one element of a list called records.
func (d *Decoder) recordElement(o *object, sc *scope) outcome {
	if isAzureRecord(o) {
		return d.azureRecord(o, sc)
	}
	if data := d.streamData(o); len(data) > 0 && data[0] == '"' {
		inner := *sc
		inner.env.Format = firstFormat(sc)
		return d.base64Value(data, o.b, &inner)
	}
	return d.object(o, sc)
}

// streamData gives the data of a record of Firehose, or of Kinesis as Lambda functions get it.
func (d *Decoder) streamData(o *object) []byte {
	if kinesis := d.find(o.b, "kinesis"); kinesis != nil {
		return d.find(kinesis, "data")
	}
	if len(o.members) <= 2 || d.find(o.b, "recordId") != nil {
		return o.raw(keyData)
	}
	return nil
}

// azureRecord decodes one diagnostic record. Only the two audit categories hold audit events; other
// services and components write to the same hub.
func (d *Decoder) azureRecord(o *object, sc *scope) outcome {
	category, _ := d.text(o, keyCategory)
	if !bytes.EqualFold(category, []byte("kube-audit")) && !bytes.EqualFold(category, []byte("kube-audit-admin")) {
		return skipped(ClassOtherCategory)
	}
	inner := sc.wrapped(FormatAKS, o.b)
	inner.env.Provider = "aks"
	inner.env.Cloud.Provider = "azure"
	d.azureResource(o, &inner)
	if t, ok := d.timeValue(o.raw(keyTime)); ok {
		inner.env.Time = t
	}
	if location, ok := d.text(o, keyLocation); ok {
		inner.env.Cloud.Region = d.cluster.intern(location)
	}
	inner.place(sc)
	out := d.azureProperties(o, &inner)
	out.remark.raw = o.b
	return out
}

// azureResource reads the cluster from the resource id, which arrives in upper case, so that only its
// lower-case form is the same for all records:
// /SUBSCRIPTIONS/<guid>/RESOURCEGROUPS/<group>/PROVIDERS/MICROSOFT.CONTAINERSERVICE/MANAGEDCLUSTERS/<name>,
// or .../CONNECTEDCLUSTERS/<name> for clusters that Azure Arc has connected.
func (d *Decoder) azureResource(o *object, sc *scope) {
	raw, p := o.raw(keyResourceID), &d.aksPlaced
	if !p.is(raw, "") {
		p.said = d.azureID(raw)
		p.keep(raw, "")
	}
	if p.said.owned {
		sc.env.Cloud.AccountID = p.said.account
	}
	if p.said.identified {
		sc.env.Cluster.ID, sc.env.Cluster.Name = p.said.id, p.said.name
	}
}

// azureID reads a resource id as it stands.
func (d *Decoder) azureID(raw []byte) (said resourcePlace) {
	text, ok := unquote(raw, &d.scratch)
	if !ok {
		return said
	}
	from := len(d.scratch)
	for _, c := range text {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		d.scratch = append(d.scratch, c)
	}
	id := d.cluster.intern(d.scratch[from:])
	d.scratch = d.scratch[:from]
	if rest, ok := strings.CutPrefix(id, "/subscriptions/"); ok {
		said.account, _, _ = strings.Cut(rest, "/")
		said.owned = true
	}
	for _, kind := range [...]string{"/managedclusters/", "/connectedclusters/"} {
		if _, name, ok := strings.Cut(id, kind); ok {
			name, _, _ = strings.Cut(name, "/")
			said.id, said.name, said.identified = id, name, true
		}
	}
	return said
}

// azureProperties decodes the event in properties.log, which is JSON text or an object, below properties,
// which in some exports is JSON text itself; or in the column log_s of the AzureDiagnostics table.
func (d *Decoder) azureProperties(o *object, sc *scope) outcome {
	raw, partial := o.rawOrPartial(keyLogS), o.isPartial(keyLogS)
	if properties := o.rawOrPartial(keyProperties); len(properties) > 0 {
		o.enter(properties)
		scratch := len(d.scratch)
		if properties[0] == '"' {
			if o.isPartial(keyProperties) {
				return d.wrappedValue(properties, true, sc)
			}
			properties, _ = unquote(properties, &d.scratch)
		}
		if len(properties) == 0 || properties[0] != '{' || d.level >= maxNest {
			return skipped(ClassOtherJSON)
		}
		members := len(d.members)
		inner := &d.objects[d.level]
		d.level++
		d.scanObject(properties, 0, inner)
		raw, partial = inner.rawOrPartial(keyLog), inner.isPartial(keyLog)
		out := d.azureLog(inner, raw, partial, sc)
		d.level--
		d.members, d.scratch = d.members[:members], d.scratch[:scratch]
		return out
	}
	return d.azureLog(o, raw, partial, sc)
}

func (d *Decoder) azureLog(o *object, raw []byte, partial bool, sc *scope) outcome {
	if len(raw) == 0 || raw[0] != '"' && raw[0] != '{' {
		if o.cut {
			return broken(ClassTruncated, "an audit record is cut before its event", o.b)
		}
		return skipped(ClassOtherJSON)
	}
	o.enter(raw)
	return d.wrappedValue(raw, partial, sc)
}
