module github.com/foretop/foretop/integration/bench

go 1.26.0

require github.com/foretop/foretop v0.0.0

require golang.org/x/sys v0.49.0 // indirect

require (
	github.com/klauspost/compress v1.20.3 // indirect
	github.com/valyala/fastjson v1.6.10
	go.yaml.in/yaml/v3 v3.0.6 // indirect
)

replace github.com/foretop/foretop => ../..
