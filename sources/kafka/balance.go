package kafka

import (
	"cmp"
	"slices"

	"github.com/segmentio/kafka-go"
)

// evenly shares all partitions of all topics out evenly. kafka-go's balancers look at each topic alone, so
// that with one topic a cluster and one partition in each, the first member would get all of them.
type evenly struct{}

// ProtocolName implements kafka.GroupBalancer. It is the name under which other clients do the same.
func (evenly) ProtocolName() string { return "roundrobin" }

// UserData implements kafka.GroupBalancer.
func (evenly) UserData() ([]byte, error) { return nil, nil }

// AssignGroups implements kafka.GroupBalancer: each partition goes to the member with the fewest so far
// among those that read its topic.
func (evenly) AssignGroups(members []kafka.GroupMember, partitions []kafka.Partition) kafka.GroupMemberAssignments {
	members, partitions = slices.Clone(members), slices.Clone(partitions)
	slices.SortFunc(members, func(a, b kafka.GroupMember) int { return cmp.Compare(a.ID, b.ID) })
	slices.SortFunc(partitions, func(a, b kafka.Partition) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.ID, b.ID))
	})
	shares := make(kafka.GroupMemberAssignments, len(members))
	has := make(map[string]int, len(members))
	for _, m := range members {
		shares[m.ID] = make(map[string][]int)
	}
	for _, p := range partitions {
		chosen := -1
		for i, m := range members {
			if slices.Contains(m.Topics, p.Topic) && (chosen < 0 || has[m.ID] < has[members[chosen].ID]) {
				chosen = i
			}
		}
		if chosen < 0 {
			continue
		}
		id := members[chosen].ID
		has[id]++
		shares[id][p.Topic] = append(shares[id][p.Topic], p.ID)
	}
	return shares
}
