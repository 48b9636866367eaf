package finding

import (
	"regexp"
	"slices"
	"strings"

	"github.com/foretop/foretop/pkg/sigma"
)

// tactics of ATT&CK for Enterprise by the name that Sigma tags use (https://attack.mitre.org/tactics/enterprise/).
var tactics = map[string][2]string{
	"reconnaissance":       {"TA0043", "Reconnaissance"},
	"resource-development": {"TA0042", "Resource Development"},
	"initial-access":       {"TA0001", "Initial Access"},
	"execution":            {"TA0002", "Execution"},
	"persistence":          {"TA0003", "Persistence"},
	"privilege-escalation": {"TA0004", "Privilege Escalation"},
	"defense-evasion":      {"TA0005", "Defense Evasion"},
	"credential-access":    {"TA0006", "Credential Access"},
	"discovery":            {"TA0007", "Discovery"},
	"lateral-movement":     {"TA0008", "Lateral Movement"},
	"collection":           {"TA0009", "Collection"},
	"command-and-control":  {"TA0011", "Command and Control"},
	"exfiltration":         {"TA0010", "Exfiltration"},
	"impact":               {"TA0040", "Impact"},
}

// techniques are the names of those that rules about Kubernetes use (https://attack.mitre.org/techniques/enterprise/).
var techniques = map[string]string{
	"T1005": "Data from Local System", "T1018": "Remote System Discovery", "T1021": "Remote Services", "T1021.007": "Cloud Services",
	"T1036": "Masquerading", "T1036.005": "Match Legitimate Resource Name or Location",
	"T1040": "Network Sniffing", "T1041": "Exfiltration Over C2 Channel", "T1046": "Network Service Discovery",
	"T1053": "Scheduled Task/Job", "T1053.007": "Container Orchestration Job",
	"T1059": "Command and Scripting Interpreter", "T1059.004": "Unix Shell",
	"T1068": "Exploitation for Privilege Escalation",
	"T1069": "Permission Groups Discovery", "T1069.003": "Cloud Groups",
	"T1070": "Indicator Removal", "T1070.004": "File Deletion",
	"T1078": "Valid Accounts", "T1078.001": "Default Accounts", "T1078.004": "Cloud Accounts",
	"T1080": "Taint Shared Content", "T1082": "System Information Discovery",
	"T1087": "Account Discovery", "T1087.004": "Cloud Account",
	"T1090": "Proxy", "T1090.003": "Multi-hop Proxy", "T1095": "Non-Application Layer Protocol",
	"T1098": "Account Manipulation", "T1098.001": "Additional Cloud Credentials", "T1098.003": "Additional Cloud Roles",
	"T1098.006": "Additional Container Cluster Roles",
	"T1105":     "Ingress Tool Transfer", "T1110": "Brute Force", "T1133": "External Remote Services", "T1134": "Access Token Manipulation",
	"T1136": "Create Account", "T1136.003": "Cloud Account",
	"T1190": "Exploit Public-Facing Application", "T1195": "Supply Chain Compromise",
	"T1204": "User Execution", "T1204.003": "Malicious Image",
	"T1210": "Exploitation of Remote Services", "T1213": "Data from Information Repositories",
	"T1485": "Data Destruction", "T1486": "Data Encrypted for Impact", "T1489": "Service Stop", "T1490": "Inhibit System Recovery",
	"T1496": "Resource Hijacking", "T1496.001": "Compute Hijacking", "T1498": "Network Denial of Service", "T1499": "Endpoint Denial of Service",
	"T1525": "Implant Internal Image", "T1526": "Cloud Service Discovery", "T1528": "Steal Application Access Token",
	"T1529": "System Shutdown/Reboot", "T1530": "Data from Cloud Storage", "T1531": "Account Access Removal",
	"T1543": "Create or Modify System Process", "T1543.005": "Container Service", "T1546": "Event Triggered Execution",
	"T1548": "Abuse Elevation Control Mechanism", "T1548.005": "Temporary Elevated Cloud Access",
	"T1550": "Use Alternate Authentication Material", "T1550.001": "Application Access Token",
	"T1552": "Unsecured Credentials", "T1552.001": "Credentials In Files", "T1552.004": "Private Keys",
	"T1552.005": "Cloud Instance Metadata API", "T1552.007": "Container API",
	"T1555": "Credentials from Password Stores", "T1555.006": "Cloud Secrets Management Stores",
	"T1556": "Modify Authentication Process", "T1557": "Adversary-in-the-Middle",
	"T1562": "Impair Defenses", "T1562.001": "Disable or Modify Tools", "T1562.004": "Disable or Modify System Firewall",
	"T1562.007": "Disable or Modify Cloud Firewall", "T1562.008": "Disable or Modify Cloud Logs",
	"T1564": "Hide Artifacts", "T1565": "Data Manipulation", "T1565.001": "Stored Data Manipulation",
	"T1572": "Protocol Tunneling", "T1573": "Encrypted Channel", "T1573.002": "Asymmetric Cryptography",
	"T1578": "Modify Cloud Compute Infrastructure", "T1580": "Cloud Infrastructure Discovery",
	"T1595": "Active Scanning", "T1595.003": "Wordlist Scanning",
	"T1609": "Container Administration Command", "T1610": "Deploy Container", "T1611": "Escape to Host", "T1612": "Build Image on Host",
	"T1613": "Container and Resource Discovery", "T1619": "Cloud Storage Object Discovery",
	"T1648": "Serverless Execution", "T1649": "Steal or Forge Authentication Certificates", "T1657": "Financial Theft",
}

var (
	techniqueTag = regexp.MustCompile(`^t\d{4}(\.\d{3})?$`)
	tacticTag    = regexp.MustCompile(`^ta\d{4}$`)
)

// threatOf reads the ATT&CK tags of a rule: attack.<tactic>, attack.ta0004, attack.t1611, attack.t1552.007.
// The parent of a subtechnique is always listed too.
func threatOf(tags []string) Threat {
	var tactic, technique, sub []string
	for _, tag := range tags {
		name, ok := strings.CutPrefix(strings.ToLower(tag), "attack.")
		if !ok {
			continue
		}
		switch slug := strings.ReplaceAll(name, "_", "-"); {
		case techniqueTag.MatchString(name):
			id := strings.ToUpper(name)
			parent, _, isSub := strings.Cut(id, ".")
			technique = append(technique, parent)
			if isSub {
				sub = append(sub, id)
			}
		case tacticTag.MatchString(name):
			tactic = append(tactic, strings.ToUpper(name))
		case tactics[slug][0] != "":
			tactic = append(tactic, tactics[slug][0])
		}
	}
	if len(tactic)+len(technique) == 0 {
		return Threat{}
	}
	const site = "https://attack.mitre.org/"
	return Threat{
		Framework: "MITRE ATT&CK",
		Tactic:    labelled(tactic, tacticName, site+"tactics/"),
		Technique: Technique{
			Labelled:     labelled(technique, techniqueName, site+"techniques/"),
			Subtechnique: labelled(sub, techniqueName, site+"techniques/"),
		},
	}
}

func tacticName(id string) string {
	for _, t := range tactics {
		if t[0] == id {
			return t[1]
		}
	}
	return ""
}

func techniqueName(id string) string { return techniques[id] }

// labelled puts ids without a name last: an empty name would not be indexed, and shift those after it.
func labelled(ids []string, name func(string) string, site string) Labelled {
	ids = distinct(ids)
	slices.SortStableFunc(ids, func(a, b string) int {
		switch named, other := name(a) != "", name(b) != ""; {
		case named == other:
			return 0
		case named:
			return -1
		}
		return 1
	})
	var l Labelled
	for _, id := range ids {
		l.ID = append(l.ID, id)
		if n := name(id); n != "" {
			l.Name = append(l.Name, n)
		}
		l.Reference = append(l.Reference, site+strings.ReplaceAll(id, ".", "/")+"/")
	}
	return l
}

// ruleOf is rule.*.
func ruleOf(r *sigma.Rule) Rule {
	out := Rule{
		ID: r.Name, UUID: r.ID, Name: r.Title, Description: r.Description, License: r.License,
		Category: r.Logsource.Category, Ruleset: "custom", Version: r.Modified,
	}
	if out.ID == "" {
		out.ID = r.Key()
	}
	if r.Own {
		out.Ruleset = "foretop"
	}
	if r.Foretop != nil && r.Foretop.Version != "" {
		out.Version = r.Foretop.Version
	}
	for author := range strings.SplitSeq(r.Author, ",") {
		if author = strings.TrimSpace(author); author != "" {
			out.Author = append(out.Author, author)
		}
	}
	for _, ref := range r.References {
		if strings.HasPrefix(ref, "https://") || strings.HasPrefix(ref, "http://") {
			out.Reference = ref
			break
		}
	}
	return out
}
