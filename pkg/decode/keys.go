package decode

import (
	"bytes"

	"github.com/foretop/foretop/pkg/jsonindex"
)

// key names the object members that decoding looks at.
type key uint8

// Members of an audit event come first, in the order in which kube-apiserver writes them; then those of
// lists, shippers, and services.
const (
	keyOther key = iota
	keyKind
	keyAPIVersion
	keyLevel
	keyAuditID
	keyStage
	keyRequestURI
	keyVerb
	keyUser
	keyImpersonatedUser
	keyAuthenticationMetadata
	keySourceIPs
	keyUserAgent
	keyObjectRef
	keyResponseStatus
	keyRequestObject
	keyResponseObject
	keyRequestReceived
	keyStageTimestamp
	keyAnnotations
	lastEventKey = keyAnnotations
)

const (
	keyMetadata key = lastEventKey + 1 + iota
	keyItems

	keyLog
	keyMessage
	keyEventOriginal
	keyMsg
	keyUpperMessage
	keyLine
	keyPayload
	keyData
	keyJSON
	keyLogProcessed
	keyStructured
	keyKubernetesAudit
	keyKubernetesAuditFlat
	keyPropertiesLog
	keyBody
	keyContent
	keyRaw
	keyShortMessage
	keyFullMessage
	keyStringValue
	keyEvent
	keyKubernetes
	keyProperties

	keyAtTimestamp
	keyTimestamp
	keyTime
	keyDate

	keyLogSource
	keyLogType
	keyK8sAuditLevel
	keyOpenShiftAuditLevel
	keyOpenShift

	keyResourceLogs
	keyStreams
	keyOrchestrator

	keyRecords
	keyCategory
	keyResourceID
	keyMessageType
	keyLogEvents
	keyLogGroup
	keyLogStream
	keyLogStreamName
	keyOwner
	keyAwslogs
	keyEvents
	keyRequestID
	keyProtoPayload
	keyLogName
	keyInsertID
	keyReceivedMessages
	keyMessageID
	keySubscription
	keySplit
	keyMetricName
	keyOperationName
	keyLocation
	keyLogS
	keyAuditIDColumn
	keyVerbColumn
	keyRequestURIColumn
	keyJSONPayload
	keyTextPayload
	keyReceiveTimestamp
	keyResource
	keyLabels
	keyOperation
	keyServiceName
	keyMethodName
	keyResourceName
	keyStatus
	keyAuthenticationInfo
	keyAuthorizationInfo
	keyRequestMetadata
	keyRequest
	keyResponse
	keyCount
)

// keyOf looks a member name up. The members of an event are found by a switch, which is faster than the
// map; neither allocates for the conversion.
func keyOf(name []byte) key {
	switch string(name) {
	case "kind":
		return keyKind
	case "apiVersion":
		return keyAPIVersion
	case "level":
		return keyLevel
	case "auditID":
		return keyAuditID
	case "stage":
		return keyStage
	case "requestURI":
		return keyRequestURI
	case "verb":
		return keyVerb
	case "user":
		return keyUser
	case "impersonatedUser":
		return keyImpersonatedUser
	case "authenticationMetadata":
		return keyAuthenticationMetadata
	case "sourceIPs":
		return keySourceIPs
	case "userAgent":
		return keyUserAgent
	case "objectRef":
		return keyObjectRef
	case "responseStatus":
		return keyResponseStatus
	case "requestObject":
		return keyRequestObject
	case "responseObject":
		return keyResponseObject
	case "requestReceivedTimestamp":
		return keyRequestReceived
	case "stageTimestamp":
		return keyStageTimestamp
	case "annotations":
		return keyAnnotations
	case "metadata":
		return keyMetadata
	case "items":
		return keyItems
	}
	return foreignKeys[string(name)]
}

// foreignKeys are the members of lists, shippers and services that decoding looks at.
var foreignKeys = map[string]key{
	"log":                   keyLog,
	"message":               keyMessage,
	"event.original":        keyEventOriginal,
	"msg":                   keyMsg,
	"MESSAGE":               keyUpperMessage,
	"line":                  keyLine,
	"payload":               keyPayload,
	"data":                  keyData,
	"json":                  keyJSON,
	"log_processed":         keyLogProcessed,
	"structured":            keyStructured,
	"kubernetes.audit":      keyKubernetesAudit,
	"kubernetes_audit":      keyKubernetesAuditFlat,
	"properties.log":        keyPropertiesLog,
	"body":                  keyBody,
	"content":               keyContent,
	"_raw":                  keyRaw,
	"short_message":         keyShortMessage,
	"full_message":          keyFullMessage,
	"stringValue":           keyStringValue,
	"event":                 keyEvent,
	"kubernetes":            keyKubernetes,
	"properties":            keyProperties,
	"@timestamp":            keyAtTimestamp,
	"timestamp":             keyTimestamp,
	"time":                  keyTime,
	"date":                  keyDate,
	"log_source":            keyLogSource,
	"log_type":              keyLogType,
	"k8s_audit_level":       keyK8sAuditLevel,
	"openshift_audit_level": keyOpenShiftAuditLevel,
	"openshift":             keyOpenShift,
	"resourceLogs":          keyResourceLogs,
	"streams":               keyStreams,
	"orchestrator":          keyOrchestrator,
	"records":               keyRecords,
	"Records":               keyRecords,
	"category":              keyCategory,
	"Category":              keyCategory,
	"resourceId":            keyResourceID,
	"ResourceId":            keyResourceID,
	"_ResourceId":           keyResourceID,
	"messageType":           keyMessageType,
	"logEvents":             keyLogEvents,
	"logGroup":              keyLogGroup,
	"logStream":             keyLogStream,
	"logStreamName":         keyLogStreamName,
	"owner":                 keyOwner,
	"awslogs":               keyAwslogs,
	"events":                keyEvents,
	"requestId":             keyRequestID,
	"protoPayload":          keyProtoPayload,
	"logName":               keyLogName,
	"insertId":              keyInsertID,
	"receivedMessages":      keyReceivedMessages,
	"subscription":          keySubscription,
	"messageId":             keyMessageID,
	"message_id":            keyMessageID,
	"proto_payload":         keyProtoPayload,
	"log_name":              keyLogName,
	"insert_id":             keyInsertID,
	"json_payload":          keyJSONPayload,
	"text_payload":          keyTextPayload,
	"receive_timestamp":     keyReceiveTimestamp,
	"received_messages":     keyReceivedMessages,
	"service_name":          keyServiceName,
	"method_name":           keyMethodName,
	"resource_name":         keyResourceName,
	"authentication_info":   keyAuthenticationInfo,
	"authorization_info":    keyAuthorizationInfo,
	"request_metadata":      keyRequestMetadata,
	"metricName":            keyMetricName,
	"operationName":         keyOperationName,
	"OperationName":         keyOperationName,
	"location":              keyLocation,
	"log_s":                 keyLogS,
	"AuditId":               keyAuditIDColumn,
	"Verb":                  keyVerbColumn,
	"RequestUri":            keyRequestURIColumn,
	"split":                 keySplit,
	"jsonPayload":           keyJSONPayload,
	"textPayload":           keyTextPayload,
	"receiveTimestamp":      keyReceiveTimestamp,
	"resource":              keyResource,
	"labels":                keyLabels,
	"operation":             keyOperation,
	"serviceName":           keyServiceName,
	"methodName":            keyMethodName,
	"resourceName":          keyResourceName,
	"status":                keyStatus,
	"authenticationInfo":    keyAuthenticationInfo,
	"authorizationInfo":     keyAuthorizationInfo,
	"requestMetadata":       keyRequestMetadata,
	"request":               keyRequest,
	"response":              keyResponse,
}

// memberKey looks up a member name as it stands in the bytes, escapes resolved.
func (d *Decoder) memberKey(name []byte) key {
	k := keyOf(name)
	if k == keyOther && bytes.IndexByte(name, '\\') >= 0 {
		base := len(d.scratch)
		d.scratch = jsonindex.AppendUnescaped(d.scratch, name)
		k = keyOf(d.scratch[base:])
		d.scratch = d.scratch[:base]
	}
	return k
}
