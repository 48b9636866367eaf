package finding

import (
	"strconv"
	"strings"
	"time"
)

// The types below are the document, one per ECS object, in the order in which they are written. Field
// sets and types follow ECS 8.17 (https://www.elastic.co/guide/en/ecs/8.17/index.html); kubernetes.audit.*
// follows the names of Elastic's Kubernetes integration; foretop.* is ours. The tag `es` is the
// Elasticsearch type where it does not follow from the Go type (string: keyword, int: long, time: date),
// which the index template is held to. The tag `redact` is for scrub.

// ECSVersion is the version of the Elastic Common Schema that documents follow.
const ECSVersion = "8.17.0"

// Event is ECS event.*: what kind of document this is, and how the audited request ended. The sink adds
// event.ingested.
type Event struct {
	Kind     string    `json:"kind" redact:"-"`
	Category []string  `json:"category" redact:"-"`
	Type     []string  `json:"type" redact:"-"`
	Outcome  string    `json:"outcome" redact:"-"`
	Action   string    `json:"action,omitempty"`
	ID       string    `json:"id" redact:"-"`
	Dataset  string    `json:"dataset" redact:"-"`
	Module   string    `json:"module" redact:"-"`
	Provider string    `json:"provider,omitempty" redact:"-"`
	Severity int       `json:"severity"`
	Risk     float64   `json:"risk_score"`
	Reason   string    `json:"reason" redact:"-"` // redacted where it is put together
	Created  time.Time `json:"created"`
	Start    time.Time `json:"start,omitzero"`
	End      time.Time `json:"end,omitzero"`
	Duration int64     `json:"duration,omitempty"` // nanoseconds
}

// ECS is ecs.*.
type ECS struct {
	Version string `json:"version" redact:"-"`
}

// DataStream is data_stream.*, which must equal the name of the stream the document goes to.
type DataStream struct {
	Type      string `json:"type" redact:"-" es:"constant_keyword"`
	Dataset   string `json:"dataset" redact:"-" es:"constant_keyword"`
	Namespace string `json:"namespace" redact:"-" es:"constant_keyword"`
}

// Rule is rule.*: text of the rule only, so none of it is redacted.
type Rule struct {
	ID          string   `json:"id"`
	UUID        string   `json:"uuid,omitempty"`
	Name        string   `json:"name"`
	Description string   `json:"description,omitempty"`
	Category    string   `json:"category,omitempty"`
	Ruleset     string   `json:"ruleset"`
	Version     string   `json:"version,omitempty"`
	Author      []string `json:"author,omitempty"`
	Reference   string   `json:"reference,omitempty"`
	License     string   `json:"license,omitempty"`
}

// Threat is threat.*. IDs, names and references of a list belong together by position; ids whose name
// is not known come last.
type Threat struct {
	Framework string    `json:"framework,omitempty"`
	Tactic    Labelled  `json:"tactic,omitzero"`
	Technique Technique `json:"technique,omitzero"`
}

// Labelled is a list of ids with their names and references.
type Labelled struct {
	ID        []string `json:"id,omitempty"`
	Name      []string `json:"name,omitempty"`
	Reference []string `json:"reference,omitempty"`
}

// Technique is threat.technique.*.
type Technique struct {
	Labelled
	Subtechnique Labelled `json:"subtechnique,omitzero"`
}

// Named is an object with nothing but a name.
type Named struct {
	Name string `json:"name,omitempty"`
}

// Names is an object with nothing but names.
type Names struct {
	Name []string `json:"name,omitempty"`
}

// User is user.*: the authenticated caller, the identity whose rights were used if that was another
// one, and the identities that the request acts upon.
type User struct {
	Name      string     `json:"name,omitempty" redact:"name"`
	ID        string     `json:"id,omitempty" redact:"name"`
	Email     string     `json:"email,omitempty" redact:"name"`
	Domain    string     `json:"domain,omitempty" redact:"name"`
	Group     Names      `json:"group,omitzero"`
	Effective Effective  `json:"effective,omitzero"`
	Target    UserTarget `json:"target,omitzero"`
}

// Effective is user.effective.*: the impersonated identity.
type Effective struct {
	Name  string `json:"name,omitempty" redact:"name"`
	ID    string `json:"id,omitempty" redact:"name"`
	Group Names  `json:"group,omitzero"`
}

// UserTarget is user.target.*.
type UserTarget struct {
	Name  []string `json:"name,omitempty" redact:"name"`
	Group Names    `json:"group,omitzero"`
}

// UserAgent is user_agent.*. Name and Version are set where the agent has the usual form name/version.
type UserAgent struct {
	Original string `json:"original,omitempty"`
	Name     string `json:"name,omitempty"`
	Version  string `json:"version,omitempty"`
}

// Source is source.*: where the request came from, and where in the world that is.
type Source struct {
	IP      string `json:"ip,omitempty" es:"ip" redact:"-"`
	Address string `json:"address,omitempty"`
	Place
}

// Place is where a public address is, source.geo.* and source.as.*: what databases say of its network, which is not
// where a person sits.
type Place struct {
	Geo Geo `json:"geo,omitzero"`
	AS  AS  `json:"as,omitzero"`
}

// String is the place for people, empty if nothing is known: "Amsterdam, NL, AS64500 Example Networks".
func (p Place) String() string {
	return strings.Join(distinct([]string{p.Geo.CityName, p.Geo.CountryISOCode, p.AS.String()}), ", ")
}

// Geo is source.geo.*. Names are English.
type Geo struct {
	Location       *Point `json:"location,omitempty" es:"geo_point"`
	ContinentCode  string `json:"continent_code,omitempty"`
	ContinentName  string `json:"continent_name,omitempty"`
	CountryISOCode string `json:"country_iso_code,omitempty"` // ISO 3166-1
	CountryName    string `json:"country_name,omitempty"`
	RegionISOCode  string `json:"region_iso_code,omitempty"` // ISO 3166-2: the country's code is part of it
	RegionName     string `json:"region_name,omitempty"`
	CityName       string `json:"city_name,omitempty"`
	Timezone       string `json:"timezone,omitempty"`
}

// Point is a place in degrees (WGS 84).
type Point struct {
	Lat float64 `json:"lat"`
	Lon float64 `json:"lon"`
}

// AS is source.as.*: the autonomous system that announces the address.
type AS struct {
	Number       uint32 `json:"number,omitempty" es:"long"`
	Organization Named  `json:"organization,omitzero"`
}

// String is number and organization, empty if neither is known.
func (a AS) String() string {
	number := ""
	if a.Number != 0 {
		number = "AS" + strconv.FormatUint(uint64(a.Number), 10)
	}
	return strings.Trim(number+" "+a.Organization.Name, " ")
}

// Address is client.*: the client's address as text, and as an address if it is one.
type Address struct {
	IP      string `json:"ip,omitempty" es:"ip" redact:"-"`
	Address string `json:"address,omitempty"`
}

// Related is related.*: everything one may want to search for, in one place.
type Related struct {
	User  []string `json:"user,omitempty" redact:"name"`
	IP    []string `json:"ip,omitempty" es:"ip" redact:"-"`
	Hosts []string `json:"hosts,omitempty"`
}

// Orchestrator is orchestrator.*: the cluster and the object.
type Orchestrator struct {
	Type       string   `json:"type" redact:"-"`
	Cluster    Cluster  `json:"cluster"`
	Namespace  string   `json:"namespace,omitempty"`
	APIVersion string   `json:"api_version,omitempty"`
	Resource   Resource `json:"resource,omitzero"`
}

// Cluster is orchestrator.cluster.*.
type Cluster struct {
	Name string `json:"name"`
	ID   string `json:"id,omitempty"`
}

// Resource is orchestrator.resource.*.
type Resource struct {
	Type   string   `json:"type,omitempty"`
	Name   string   `json:"name,omitempty"`
	ID     string   `json:"id,omitempty"`
	Parent Parent   `json:"parent,omitzero"`
	Label  []string `json:"label,omitempty"`
}

// Parent is orchestrator.resource.parent.*: the kind of the controlling owner.
type Parent struct {
	Type string `json:"type,omitempty"`
}

// Container is container.*: the containers that the finding is about.
type Container struct {
	Name     []string        `json:"name,omitempty"`
	Image    Image           `json:"image,omitzero"`
	Security SecurityContext `json:"security_context,omitzero"`
}

// Image is container.image.*: lists, one entry for each distinct image.
type Image struct {
	Name []string  `json:"name,omitempty"`
	Tag  []string  `json:"tag,omitempty"`
	Hash ImageHash `json:"hash,omitzero"`
}

// ImageHash is container.image.hash.*.
type ImageHash struct {
	All []string `json:"all,omitempty"`
}

// SecurityContext is container.security_context.*.
type SecurityContext struct {
	Privileged bool `json:"privileged,omitempty"`
}

// Process is process.*: the command of an exec request.
type Process struct {
	CommandLine string   `json:"command_line,omitempty" es:"wildcard"`
	Args        []string `json:"args,omitempty"`
}

// URL is url.*: the request URI, its secrets removed.
type URL struct {
	Original string `json:"original,omitempty" es:"wildcard"`
	Path     string `json:"path,omitempty" es:"wildcard"`
	Query    string `json:"query,omitempty"`
}

// HTTP is http.*. The method is known, and set, only for requests that name no resource.
type HTTP struct {
	Request  HTTPRequest  `json:"request,omitzero"`
	Response HTTPResponse `json:"response,omitzero"`
}

// HTTPRequest is http.request.*.
type HTTPRequest struct {
	Method string `json:"method,omitempty"`
}

// HTTPResponse is http.response.*.
type HTTPResponse struct {
	StatusCode int `json:"status_code,omitempty"`
}

// Cloud is cloud.*.
type Cloud struct {
	Provider         string `json:"provider,omitempty"`
	Account          ID     `json:"account,omitzero"`
	Project          ID     `json:"project,omitzero"`
	Region           string `json:"region,omitempty"`
	AvailabilityZone string `json:"availability_zone,omitempty"`
	Service          Named  `json:"service,omitzero"`
}

// ID is an object with nothing but an id.
type ID struct {
	ID string `json:"id,omitempty"`
}

// Observer is observer.*: Foretop itself.
type Observer struct {
	Vendor  string `json:"vendor" redact:"-"`
	Product string `json:"product" redact:"-"`
	Version string `json:"version,omitempty" redact:"-"`
	Type    string `json:"type" redact:"-"`
}
