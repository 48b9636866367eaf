package decode

// Keys in the metadata of a record by which a source says where it got it. What the transport says wins over
// everything within the record, because it cannot be written by whoever writes the event.
const (
	// MetaClusterName and MetaClusterID name the cluster that the sender proved to be: by the token or the
	// certificate that the webhook bound to it. Without an id it is the name.
	MetaClusterName = "cluster.name"
	MetaClusterID   = "cluster.id"
	// MetaLogGroup and MetaLogStream are CloudWatch Logs' names. The body is then the bare message.
	MetaLogGroup  = "aws.log_group"
	MetaLogStream = "aws.log_stream"
	// MetaAccount and MetaRegion are where the source read: an AWS account's number and region, for example.
	MetaAccount = "cloud.account"
	MetaRegion  = "cloud.region"
	// MetaProject is the project of the Pub/Sub subscription: not necessarily the cluster's own.
	MetaProject = "gcp.project"
)
