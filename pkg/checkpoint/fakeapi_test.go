package checkpoint

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/time/rate"
)

// fakeAPI behaves like the ConfigMaps of an API server: versions, merge patches, rights and tokens.
type fakeAPI struct {
	*httptest.Server
	dir string // what the kubelet mounts

	mu       sync.Mutex
	version  int
	objects  map[string]*object // by path
	token    string             // the one that is accepted
	denied   map[string]bool    // verbs
	fault    func(w http.ResponseWriter, r *http.Request) bool
	requests []string // verbs, in order
}

const fakePath = "/api/v1/namespaces/foretop/configmaps"

func newFakeAPI(t *testing.T) *fakeAPI {
	f := &fakeAPI{dir: t.TempDir(), objects: map[string]*object{}, token: "t1", denied: map[string]bool{}}
	f.Server = httptest.NewTLSServer(f)
	t.Cleanup(f.Close)
	f.mount(t, "token", "t1\n")
	f.mount(t, "namespace", "foretop")
	f.mount(t, "ca.crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: f.Certificate().Raw})))
	return f
}

func (f *fakeAPI) mount(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(f.dir, name), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// open opens the store as a new process would, without the pace and the patience of a real one.
func (f *fakeAPI) open(t *testing.T) *ConfigMap {
	t.Helper()
	c, err := OpenConfigMap(ConfigMapOptions{
		Cluster: Cluster{URL: f.URL, TokenFile: f.dir + "/token", CAFile: f.dir + "/ca.crt", NamespaceFile: f.dir + "/namespace"},
		Name:    "positions", Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	c.pace, c.retryMin, c.retry = rate.NewLimiter(rate.Inf, 1), time.Millisecond, time.Second
	t.Cleanup(func() { c.Close() })
	return c
}

func (f *fakeAPI) change(do func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	do()
}

// edit changes the object as another client would.
func (f *fakeAPI) edit(do func(o *object)) {
	f.change(func() {
		do(f.objects[fakePath+"/positions"])
		f.stamp(f.objects[fakePath+"/positions"])
	})
}

func (f *fakeAPI) stamp(o *object) {
	f.version++
	o.Metadata.ResourceVersion = strconv.Itoa(f.version)
}

func (f *fakeAPI) count(verb string) (n int) {
	f.change(func() {
		for _, v := range f.requests {
			if v == verb {
				n++
			}
		}
	})
	return n
}

func (f *fakeAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	fault := f.fault
	f.mu.Unlock()
	if fault != nil && fault(w, r) {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	verb := map[string]string{"GET": "get", "POST": "create", "PATCH": "patch"}[r.Method]
	f.requests = append(f.requests, verb)
	switch {
	case r.Header.Get("Authorization") != "Bearer "+f.token:
		status(w, 401, "Unauthorized")
	case f.denied[verb]:
		status(w, 403, fmt.Sprintf(`configmaps "positions" is forbidden: User cannot %s resource`, verb))
	case verb == "create":
		f.create(w, r)
	default:
		f.existing(w, r, verb)
	}
}

func (f *fakeAPI) create(w http.ResponseWriter, r *http.Request) {
	var o object
	if err := json.NewDecoder(r.Body).Decode(&o); err != nil || r.URL.Path != fakePath || o.Kind != "ConfigMap" || o.APIVersion != "v1" {
		status(w, 400, fmt.Sprint(err))
		return
	}
	path := r.URL.Path + "/" + o.Metadata.Name
	if f.objects[path] != nil {
		status(w, 409, "already exists")
		return
	}
	if r.URL.Query().Get("dryRun") == "All" {
		json.NewEncoder(w).Encode(o)
		return
	}
	f.objects[path] = &o
	f.stamp(&o)
	w.WriteHeader(http.StatusCreated)
	json.NewEncoder(w).Encode(o)
}

func (f *fakeAPI) existing(w http.ResponseWriter, r *http.Request, verb string) {
	o := f.objects[r.URL.Path]
	if o == nil {
		status(w, 404, `configmaps "positions" not found`)
		return
	}
	if verb == "patch" {
		var p patch
		if err := json.NewDecoder(r.Body).Decode(&p); err != nil || r.Header.Get("Content-Type") != "application/merge-patch+json" {
			status(w, 400, fmt.Sprint(err))
			return
		}
		if v := p.Metadata.ResourceVersion; v != "" && v != o.Metadata.ResourceVersion {
			status(w, 409, "the object has been modified")
			return
		}
		if r.URL.Query().Get("dryRun") == "All" {
			json.NewEncoder(w).Encode(o)
			return
		}
		if o.Metadata.Annotations == nil {
			o.Metadata.Annotations = map[string]string{}
		}
		maps.Copy(o.Metadata.Annotations, p.Metadata.Annotations)
		if o.Data == nil {
			o.Data = map[string]string{}
		}
		for key, value := range p.Data {
			if delete(o.Data, key); value != nil {
				o.Data[key] = *value
			}
		}
		f.stamp(o)
	}
	json.NewEncoder(w).Encode(o)
}

func status(w http.ResponseWriter, code int, message string) {
	w.WriteHeader(code)
	json.NewEncoder(w).Encode(map[string]any{"kind": "Status", "code": code, "message": message})
}

func readText(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// otherAuthority makes the certificate of an authority that did not sign the server's.
func otherAuthority(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// answer is a fault that gives code to requests of a verb until it is taken away.
func answer(method string, code int) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != method {
			return false
		}
		status(w, code, "scripted "+strings.ToLower(http.StatusText(code)))
		return true
	}
}
