variable "project" {
  description = "Project of the watched clusters; the topic and the subscription are made there."
  type        = string
}

variable "identity_project" {
  description = "Project of the cluster that Foretop runs in, whose workload identity pool is used; null is the same."
  type        = string
  default     = null
}

variable "clusters" {
  description = "Names of the clusters to watch; empty is all of the project."
  type        = list(string)
  default     = []
}

variable "data_access" {
  description = "Turns on Data Access audit logs of GKE (reads). They cost, and this replaces what is configured for container.googleapis.com in the project."
  type        = bool
  default     = false
}

variable "data_access_exempted_members" {
  description = "Principals whose reads are not logged, as serviceAccount:NAME."
  type        = list(string)
  default     = []
}

variable "name" {
  description = "Name of the sink, the topic, the subscription and the Google service account."
  type        = string
  default     = "foretop"
}

variable "namespace" {
  description = "Kubernetes namespace of Foretop."
  type        = string
  default     = "foretop"
}

variable "service_account" {
  description = "Kubernetes service account of Foretop."
  type        = string
  default     = "foretop"
}

variable "scanners" {
  description = "Who may run foretop scan --source pubsub, as user:NAME or group:NAME: it reads through a subscription of its own, which it makes and deletes."
  type        = list(string)
  default     = []
}
