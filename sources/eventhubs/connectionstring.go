package eventhubs

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
)

// connectionString is what a shared access policy gives out. The parts that are no secret are taken out of it; it is
// sent to the service as a whole.
type connectionString struct {
	whole, namespace, keyName, hub string
}

// hostName is a name of a namespace: letters, digits, hyphens and dots.
var hostName = regexp.MustCompile(`^[a-zA-Z0-9]([a-zA-Z0-9.-]{0,251}[a-zA-Z0-9])?$`)

// parseConnectionString takes text apart. Its errors name parts and never repeat what is in them, since anything may
// have been pasted.
// https://learn.microsoft.com/azure/event-hubs/event-hubs-get-connection-string
func parseConnectionString(text string) (*connectionString, error) {
	text = strings.TrimSpace(text)
	if strings.HasPrefix(text, `"`) || strings.HasPrefix(text, `'`) {
		return nil, errors.New("CONNECTION_STRING stands in quotation marks: leave them out")
	}
	parts := make(map[string]string)
	for part := range strings.SplitSeq(strings.TrimSuffix(text, ";"), ";") {
		name, value, ok := strings.Cut(strings.TrimSpace(part), "=")
		if !ok {
			return nil, errors.New("CONNECTION_STRING is no list of Name=value with semicolons between them: copy it whole from the shared access policy")
		}
		name = strings.ToLower(name)
		if _, twice := parts[name]; twice {
			return nil, errors.New("CONNECTION_STRING has a part twice: it should be one connection string")
		}
		parts[name] = value
	}
	if parts["sharedaccesssignature"] != "" {
		return nil, errors.New("CONNECTION_STRING has a SharedAccessSignature, which the Kafka endpoint does not take: use the connection string of a policy, with SharedAccessKeyName and SharedAccessKey")
	}
	for _, name := range []string{"Endpoint", "SharedAccessKeyName", "SharedAccessKey"} {
		if parts[strings.ToLower(name)] == "" {
			return nil, fmt.Errorf("CONNECTION_STRING has no %s: copy it whole from the shared access policy", name)
		}
	}
	host, err := endpointHost(parts["endpoint"])
	if err != nil {
		return nil, err
	}
	return &connectionString{whole: text, namespace: host, keyName: parts["sharedaccesskeyname"], hub: parts["entitypath"]}, nil
}

func endpointHost(endpoint string) (string, error) {
	u, err := url.Parse(endpoint)
	if err != nil || u.Scheme != "sb" || !hostName.MatchString(u.Hostname()) {
		return "", errors.New("CONNECTION_STRING has an Endpoint that is not like sb://example.servicebus.windows.net/")
	}
	return strings.ToLower(u.Hostname()), nil
}
