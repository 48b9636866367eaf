// Package cloudwatch reads the audit logs of EKS clusters from CloudWatch Logs.
//
// FilterLogEvents searches by the time of events, and events arrive late: whoever moves on from the newest one
// loses those that come after it. So each log group is read twice. The fast pass reads the newest stretch every
// few seconds, for latency. The sweep reads every stretch once more, MaxLateness after it happened, and only the
// sweep moves the saved position. What both see is handed on once. See docs/adr/0010.
//
// https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_FilterLogEvents.html
package cloudwatch
