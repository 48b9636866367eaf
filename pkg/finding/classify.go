package finding

import (
	"slices"
	"strings"

	"github.com/foretop/foretop/pkg/event"
	"github.com/foretop/foretop/pkg/sigma"
)

// severity is a level as ECS consumers want it. Elastic Security takes event.severity over only if it is
// exactly 21, 47, 73 or 99.
type severity struct {
	name     string
	severity int
	risk     float64
}

var severities = [...]severity{
	sigma.Informational: {"informational", 21, 5},
	sigma.Low:           {"low", 21, 21},
	sigma.Medium:        {"medium", 47, 47},
	sigma.High:          {"high", 73, 73},
	sigma.Critical:      {"critical", 99, 99},
}

func clampLevel(l sigma.Level) sigma.Level {
	return min(max(l, sigma.Informational), sigma.Critical)
}

// SeverityName is the name of a level, as in foretop.severity_name.
func SeverityName(l sigma.Level) string { return severities[clampLevel(l)].name }

// class is one way to classify a request: ECS categories and types, each type allowed by a category.
type class struct{ category, kind []string }

// classify gives event.category and event.type. Every finding is intrusion_detection beside what the
// request itself is; ECS allows that category only info, allowed and denied.
func classify(ev *event.Event, targets UserTarget) (category, kind []string) {
	c := classOf(ev, targets)
	if ev.ImpersonatedUser != nil && !slices.Contains(c.kind, "denied") {
		c.category, c.kind = append(c.category, "iam"), append(c.kind, "admin", "user")
	}
	c.category = append(c.category, "intrusion_detection")
	if !slices.Contains(c.kind, "denied") {
		c.kind = append(c.kind, "info")
	}
	return distinct(c.category), distinct(c.kind)
}

func classOf(ev *event.Event, targets UserTarget) class {
	code := 0
	if ev.ResponseStatus != nil {
		code = ev.ResponseStatus.Code
	}
	switch {
	case code == 401:
		return class{[]string{"authentication"}, []string{"start"}}
	case code == 403:
		return class{[]string{"api"}, []string{"denied"}}
	case ev.ObjectRef == nil:
		return class{[]string{"api"}, []string{"access"}}
	}
	switch ev.ObjectRef.Subresource {
	case "exec", "attach", "portforward", "proxy", "ephemeralcontainers":
		return class{[]string{"session", "process"}, []string{"start"}}
	case "eviction":
		return class{[]string{"configuration"}, []string{"deletion"}}
	}
	change := changeOf(ev)
	switch strings.ToLower(ev.ObjectRef.Resource) {
	case "selfsubjectaccessreviews", "selfsubjectrulesreviews", "selfsubjectreviews", "subjectaccessreviews",
		"localsubjectaccessreviews", "tokenreviews":
		return class{[]string{"api"}, []string{"access"}}
	case "roles", "clusterroles":
		return iam(change, "admin")
	case "rolebindings", "clusterrolebindings":
		kinds := []string{"admin"}
		if len(targets.Name) > 0 {
			kinds = append(kinds, "user")
		}
		if len(targets.Group.Name) > 0 {
			kinds = append(kinds, "group")
		}
		return iam(change, kinds...)
	case "serviceaccounts", "certificatesigningrequests", "users", "groups":
		return iam(change, "user")
	}
	return class{[]string{"configuration"}, []string{change}}
}

func iam(change string, kinds ...string) class {
	if change == "access" { // which iam does not allow
		return class{[]string{"iam", "configuration"}, append([]string{"access"}, kinds...)}
	}
	return class{[]string{"iam"}, append([]string{change}, kinds...)}
}

// changeOf is the event.type of the verb. A write to a subresource changes the object it belongs to,
// except for a token, which comes into being.
func changeOf(ev *event.Event) string {
	switch ev.Verb {
	case "create":
		if sub := ev.ObjectRef.Subresource; sub != "" && sub != "token" {
			return "change"
		}
		return "creation"
	case "update", "patch":
		return "change"
	case "delete", "deletecollection":
		return "deletion"
	}
	return "access"
}
