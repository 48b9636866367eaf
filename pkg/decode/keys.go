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

// keyOf looks a member name up; it does not allocate for the conversion.
func keyOf(name []byte) key { return keys[string(name)] }

// keyNames are the names by key: of a key with several spellings one of them, which is all that a guess needs.
var keyNames = func() (names [keyCount]string) {
	for name, k := range keys {
		names[k] = name
	}
	return names
}()

// keys are the members of events, lists, shippers and services that decoding looks at.
var keys = map[string]key{
	"kind":                     keyKind,
	"apiVersion":               keyAPIVersion,
	"level":                    keyLevel,
	"auditID":                  keyAuditID,
	"stage":                    keyStage,
	"requestURI":               keyRequestURI,
	"verb":                     keyVerb,
	"user":                     keyUser,
	"impersonatedUser":         keyImpersonatedUser,
	"authenticationMetadata":   keyAuthenticationMetadata,
	"sourceIPs":                keySourceIPs,
	"userAgent":                keyUserAgent,
	"objectRef":                keyObjectRef,
	"responseStatus":           keyResponseStatus,
	"requestObject":            keyRequestObject,
	"responseObject":           keyResponseObject,
	"requestReceivedTimestamp": keyRequestReceived,
	"stageTimestamp":           keyStageTimestamp,
	"annotations":              keyAnnotations,
	"metadata":                 keyMetadata,
	"items":                    keyItems,
	"log":                      keyLog,
	"message":                  keyMessage,
	"event.original":           keyEventOriginal,
	"msg":                      keyMsg,
	"MESSAGE":                  keyUpperMessage,
	"line":                     keyLine,
	"payload":                  keyPayload,
	"data":                     keyData,
	"json":                     keyJSON,
	"log_processed":            keyLogProcessed,
	"structured":               keyStructured,
	"kubernetes.audit":         keyKubernetesAudit,
	"kubernetes_audit":         keyKubernetesAuditFlat,
	"properties.log":           keyPropertiesLog,
	"body":                     keyBody,
	"content":                  keyContent,
	"_raw":                     keyRaw,
	"short_message":            keyShortMessage,
	"full_message":             keyFullMessage,
	"stringValue":              keyStringValue,
	"event":                    keyEvent,
	"kubernetes":               keyKubernetes,
	"properties":               keyProperties,
	"@timestamp":               keyAtTimestamp,
	"timestamp":                keyTimestamp,
	"time":                     keyTime,
	"date":                     keyDate,
	"log_source":               keyLogSource,
	"log_type":                 keyLogType,
	"k8s_audit_level":          keyK8sAuditLevel,
	"openshift_audit_level":    keyOpenShiftAuditLevel,
	"openshift":                keyOpenShift,
	"resourceLogs":             keyResourceLogs,
	"streams":                  keyStreams,
	"orchestrator":             keyOrchestrator,
	"records":                  keyRecords,
	"Records":                  keyRecords,
	"category":                 keyCategory,
	"Category":                 keyCategory,
	"resourceId":               keyResourceID,
	"ResourceId":               keyResourceID,
	"_ResourceId":              keyResourceID,
	"messageType":              keyMessageType,
	"logEvents":                keyLogEvents,
	"logGroup":                 keyLogGroup,
	"logStream":                keyLogStream,
	"logStreamName":            keyLogStreamName,
	"owner":                    keyOwner,
	"awslogs":                  keyAwslogs,
	"events":                   keyEvents,
	"requestId":                keyRequestID,
	"protoPayload":             keyProtoPayload,
	"logName":                  keyLogName,
	"insertId":                 keyInsertID,
	"receivedMessages":         keyReceivedMessages,
	"subscription":             keySubscription,
	"messageId":                keyMessageID,
	"message_id":               keyMessageID,
	"proto_payload":            keyProtoPayload,
	"log_name":                 keyLogName,
	"insert_id":                keyInsertID,
	"json_payload":             keyJSONPayload,
	"text_payload":             keyTextPayload,
	"receive_timestamp":        keyReceiveTimestamp,
	"received_messages":        keyReceivedMessages,
	"service_name":             keyServiceName,
	"method_name":              keyMethodName,
	"resource_name":            keyResourceName,
	"authentication_info":      keyAuthenticationInfo,
	"authorization_info":       keyAuthorizationInfo,
	"request_metadata":         keyRequestMetadata,
	"metricName":               keyMetricName,
	"operationName":            keyOperationName,
	"OperationName":            keyOperationName,
	"location":                 keyLocation,
	"log_s":                    keyLogS,
	"AuditId":                  keyAuditIDColumn,
	"Verb":                     keyVerbColumn,
	"RequestUri":               keyRequestURIColumn,
	"split":                    keySplit,
	"jsonPayload":              keyJSONPayload,
	"textPayload":              keyTextPayload,
	"receiveTimestamp":         keyReceiveTimestamp,
	"resource":                 keyResource,
	"labels":                   keyLabels,
	"operation":                keyOperation,
	"serviceName":              keyServiceName,
	"methodName":               keyMethodName,
	"resourceName":             keyResourceName,
	"status":                   keyStatus,
	"authenticationInfo":       keyAuthenticationInfo,
	"authorizationInfo":        keyAuthorizationInfo,
	"requestMetadata":          keyRequestMetadata,
	"request":                  keyRequest,
	"response":                 keyResponse,
}

// memberKey looks up a member name as it stands in the bytes, escapes resolved. Encoders write the members of every
// object in one order, so the key that came behind the last one the time before, as deep inside others, is tried first.
func (d *Decoder) memberKey(name []byte) key {
	after := &d.after[d.level]
	k := after[d.last]
	if k == keyOther || keyNames[k] != string(name) {
		if k = keyOf(name); k == keyOther && bytes.IndexByte(name, '\\') >= 0 {
			base := len(d.scratch)
			d.scratch = jsonindex.AppendUnescaped(d.scratch, name)
			k = keyOf(d.scratch[base:])
			d.scratch = d.scratch[:base]
		}
		after[d.last] = k
	}
	d.last = k
	return k
}
