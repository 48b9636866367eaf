package elasticsearch

import "testing"

func TestCredentialsThatGoOverANetworkInClear(t *testing.T) {
	password, key := accessConfig{username: "u", password: "p"}, accessConfig{apiKeyFile: "key"}
	for _, tt := range []struct {
		access  accessConfig
		address string
		want    bool
	}{
		{password, "http://es.example:9200", true},
		{key, "http://10.0.0.7:9200", true},
		{password, "https://es.example:9200", false},
		{password, "http://localhost:9200", false},
		{password, "http://127.0.0.1:9200", false},
		{password, "http://[::1]:9200", false},
		{accessConfig{}, "http://es.example:9200", false},
	} {
		if got := tt.access.exposed(tt.address); got != tt.want {
			t.Errorf("%s: %v", tt.address, got)
		}
	}
}
