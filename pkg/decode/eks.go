package decode

import (
	"bytes"
	"encoding/base64"
	"strings"

	"github.com/foretop/foretop/pkg/event"
)

// Where EKS puts its control plane's logs:
// https://docs.aws.amazon.com/eks/latest/userguide/control-plane-logs.html
const (
	eksGroupPrefix  = "/aws/eks/"
	eksGroupSuffix  = "/cluster"
	eksStreamPrefix = "kube-apiserver-audit" // "kube-apiserver-" alone is the API server's own log
)

// cloudWatch decodes what CloudWatch Logs puts around messages: a subscription's payload, the Lambda and
// Firehose envelopes around that, and the answers of FilterLogEvents and GetLogEvents. Source:
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/SubscriptionFilters.html
func (d *Decoder) cloudWatch(o *object, sc *scope) (outcome, bool) {
	if data := d.find(o.raw(keyAwslogs), "data"); data != nil {
		return d.base64Value(data, o.b, sc), true
	}
	if list := o.rawOrPartial(keyLogEvents); len(list) > 0 && list[0] == '[' {
		if d.is(o, keyMessageType, "CONTROL_MESSAGE") {
			return skipped(ClassControlMessage), true
		}
		return d.subscription(o, list, sc), true
	}
	if list := o.rawOrPartial(keyEvents); len(list) > 0 && list[0] == '[' && d.isLogAnswer(list) {
		inner := *sc
		inner.element = elementCloudWatch
		inner.env.Format = firstFormat(sc)
		inner.env.Cloud.Provider = "aws"
		o.enter(list)
		_, out := d.arrayAt(list, 0, &inner)
		return out, true
	}
	if o.has(keyLogStreamName) && o.slot[keyMessage] != 0 {
		inner := *sc
		inner.env.Format = firstFormat(sc)
		inner.env.Cloud.Provider = "aws"
		return d.cloudWatchEvent(o, &inner), true
	}
	return outcome{}, false
}

func firstFormat(sc *scope) string {
	if sc.env.Format != "" {
		return sc.env.Format
	}
	return FormatEKS
}

// isLogAnswer tells a list of log events from other things called events, by its first element.
func (d *Decoder) isLogAnswer(list []byte) bool {
	w := d.walk(list)
	first, ok := w.element()
	return ok && d.find(first, "message") != nil && (d.find(first, "ingestionTime") != nil || d.find(first, "eventId") != nil)
}

// subscription decodes a subscription filter's payload, whose log group names the cluster.
func (d *Decoder) subscription(o *object, list []byte, sc *scope) outcome {
	inner := *sc
	inner.element = elementCloudWatch
	env := &inner.env
	env.Format = firstFormat(sc)
	env.Cloud.Provider = "aws"
	if owner, ok := d.text(o, keyOwner); ok {
		env.Cloud.AccountID = d.cluster.intern(owner)
	}
	if group, ok := d.text(o, keyLogGroup); ok {
		env.Cluster.Name = eksCluster(d.cluster.intern(group))
	}
	if env.Cluster.Name != "" {
		env.Provider = "eks"
		d.nameCluster(env)
		stream, ok := d.text(o, keyLogStream)
		inner.otherSource = ok && !bytes.HasPrefix(stream, []byte(eksStreamPrefix))
	}
	inner.place(sc)
	o.enter(list)
	_, out := d.arrayAt(list, 0, &inner)
	return out
}

// readFrom fills the scope of a record that a source read from a log group itself, so that the body is the
// bare message. otherSource is true for a stream of EKS that holds no audit events.
func (d *Decoder) readFrom(group string, sc *scope) (otherSource bool) {
	env := &sc.env
	env.Cloud.Provider = "aws"
	name := eksCluster(group)
	if name == "" {
		return false // a log group of the user's own, with whatever form in it
	}
	env.Format, env.Provider = FormatEKS, "eks"
	env.Cluster.Name, env.Cloud.AccountID, sc.placed = name, d.meta[MetaAccount], true
	d.nameCluster(env)
	stream := d.meta[MetaLogStream]
	return stream != "" && !strings.HasPrefix(stream, eksStreamPrefix)
}

// nameCluster gives a cluster whose name is known its ARN, if account and region are known too.
func (d *Decoder) nameCluster(env *event.Envelope) {
	region := d.meta[MetaRegion]
	if region == "" {
		region = d.opts.Cloud.Region
	}
	if region != "" && env.Cloud.AccountID != "" {
		env.Cluster.ID = d.eksARN(region, env.Cloud.AccountID, env.Cluster.Name)
	}
}

// eksCluster is the cluster's name in a log group's, empty for other log groups.
func eksCluster(group string) string {
	name, ok := strings.CutPrefix(group, eksGroupPrefix)
	if name, found := strings.CutSuffix(name, eksGroupSuffix); ok && found {
		return name
	}
	return ""
}

// eksARN is the cluster's globally unique id. The partition follows from the region.
func (d *Decoder) eksARN(region, account, name string) string {
	partition := "aws"
	switch {
	case strings.HasPrefix(region, "cn-"):
		partition = "aws-cn"
	case strings.HasPrefix(region, "us-gov-"):
		partition = "aws-us-gov"
	}
	from := len(d.scratch)
	for _, part := range [...]string{"arn:", partition, ":eks:", region, ":", account, ":cluster/", name} {
		d.scratch = append(d.scratch, part...)
	}
	arn := d.cluster.intern(d.scratch[from:])
	d.scratch = d.scratch[:from]
	return arn
}

// cloudWatchEvent decodes one log event. In FilterLogEvents' answer it names its stream.
func (d *Decoder) cloudWatchEvent(o *object, sc *scope) outcome {
	stream, named := d.text(o, keyLogStreamName)
	if sc.otherSource || named && isControlPlaneStream(stream) && !bytes.HasPrefix(stream, []byte(eksStreamPrefix)) {
		return skipped(ClassOtherCategory)
	}
	raw := o.rawOrPartial(keyMessage)
	if len(raw) == 0 {
		return skipped(ClassOtherJSON)
	}
	inner := sc.wrapped(FormatEKS, o.b)
	if named && bytes.HasPrefix(stream, []byte(eksStreamPrefix)) {
		inner.env.Provider = "eks"
	}
	if t, ok := d.timeValue(o.raw(keyTimestamp)); ok {
		inner.env.Time = t
	}
	o.enter(raw)
	out := d.wrappedValue(raw, o.isPartial(keyMessage), &inner)
	out.remark.raw = o.b
	return out
}

// isControlPlaneStream recognises the streams of the other EKS components.
func isControlPlaneStream(stream []byte) bool {
	for _, prefix := range [...]string{"kube-apiserver-", "authenticator-", "kube-controller-manager-", "kube-scheduler-", "cloud-controller-manager-"} {
		if bytes.HasPrefix(stream, []byte(prefix)) {
			return true
		}
	}
	return false
}

// base64Value decodes what the base64 text raw holds: records, or gzip of them.
func (d *Decoder) base64Value(raw, unit []byte, sc *scope) outcome {
	text, ok := unquote(raw, &d.scratch)
	if !ok {
		return broken(ClassNotJSON, "base64 data is expected, and is no text", unit)
	}
	from := len(d.scratch)
	d.scratch = append(d.scratch, make([]byte, base64.StdEncoding.DecodedLen(len(text)))...)
	n, err := base64.StdEncoding.Decode(d.scratch[from:], text)
	if err != nil {
		d.scratch = d.scratch[:from]
		return broken(ClassUnsupportedEncoding, "text is expected to be base64, and is not", unit)
	}
	data := d.scratch[from : from+n]
	inner := *sc
	inner.unit, inner.narrow, inner.inList = sc.stretch(unit), false, false
	var out outcome
	if isGzip(data) {
		out = d.gzip(data, &inner)
	} else {
		out = d.sequence(bytes.TrimPrefix(data, utf8BOM), &inner)
	}
	out.remark.raw = unit
	d.scratch = d.scratch[:from]
	return out
}
