package decode

// Classes of skipped items: well-formed, and no Kubernetes audit event.
const (
	ClassTombstone      = "tombstone"       // a record without a value
	ClassEmpty          = "empty"           // whitespace, null, an empty array, an event list without items
	ClassText           = "text"            // text that holds no JSON, such as another component's log line
	ClassLegacyText     = "legacy_text"     // an audit line in the text format that Kubernetes has deprecated
	ClassOtherJSON      = "other_json"      // JSON that is no audit event and wraps none
	ClassNotAuditEvent  = "not_audit_event" // an object of kind Event that belongs to another API group
	ClassOtherCategory  = "other_category"  // a log of another category or source in the same stream
	ClassControlMessage = "control_message" // what a service sends to test or announce its delivery
	ClassDuplicate      = "duplicate"       // an event that stands a second time in the same record
)

// Classes of broken items: something that should have been an event and cannot be read as one.
const (
	ClassNotJSON             = "not_json"             // not valid JSON
	ClassTruncated           = "truncated"            // cut so early that who did what is lost, or a later piece of a cut event
	ClassTooDeep             = "too_deep"             // nested or wrapped deeper than the limits
	ClassTooLarge            = "too_large"            // larger than the item limit, before or after decompression
	ClassTooMany             = "too_many"             // more items in one record than the limit
	ClassUnsupportedEncoding = "unsupported_encoding" // binary, UTF-16, or a compression that is not read
	ClassBadCompression      = "bad_compression"      // compressed data that does not decompress
	ClassMissingFields       = "missing_fields"       // an audit event without verb, or without what it was done to
)

// SkippedClasses and BrokenClasses are the closed sets, with what they mean, for documentation and metrics.
var (
	SkippedClasses = []ClassInfo{
		{ClassTombstone, "a record without a value"},
		{ClassEmpty, "whitespace, null, an empty array or an event list without items"},
		{ClassText, "text that holds no JSON, such as another component's log line"},
		{ClassLegacyText, "an audit line in the deprecated text format"},
		{ClassOtherJSON, "JSON that is no audit event and wraps none"},
		{ClassNotAuditEvent, "an object of kind Event that belongs to another API group"},
		{ClassOtherCategory, "a log of another category or source in the same stream"},
		{ClassControlMessage, "a message that a service sends to test or announce its delivery"},
		{ClassDuplicate, "an event that stands a second time in the same record"},
	}
	BrokenClasses = []ClassInfo{
		{ClassNotJSON, "not valid JSON"},
		{ClassTruncated, "an event cut so early that who did what is lost, or a later piece of a cut event"},
		{ClassTooDeep, "nested or wrapped deeper than the limits"},
		{ClassTooLarge, "larger than the item limit, before or after decompression"},
		{ClassTooMany, "more items in one record than the limit"},
		{ClassUnsupportedEncoding, "binary, UTF-16, or a compression that is not read"},
		{ClassBadCompression, "compressed data that does not decompress"},
		{ClassMissingFields, "an audit event without verb, or without anything that it was done to"},
	}
)

// ClassInfo is a class and its meaning.
type ClassInfo struct{ Name, Meaning string }

// Formats: what Envelope.Format says, named after the outermost wrapping.
const (
	FormatNative    = "native"    // the event alone, as kube-apiserver writes it
	FormatEventList = "eventlist" // an item of an audit.k8s.io EventList, as the webhook posts
	FormatMerged    = "merged"    // the event's members beside a shipper's at one level
	FormatViaQ      = "viaq"      // OpenShift log forwarding
	FormatText      = "text"      // behind leading text: CRI prefix, timestamp and host, syslog header
	FormatQuoted    = "quoted"    // JSON text encoded once more as a JSON string
	FormatOTLP      = "otlp"      // OpenTelemetry resourceLogs
	FormatLoki      = "loki"      // Loki push streams
	FormatEKS       = "eks"       // CloudWatch Logs: API answers, subscriptions, Firehose, Lambda
	FormatAKS       = "aks"       // Azure Monitor diagnostic records
	FormatGKE       = "gke"       // Cloud Logging entries; Pub/Sub messages around them
	// FormatKey + a key of wrapperKeys is a shipper's object with the event under that key.
	FormatKey = "in:"
)
