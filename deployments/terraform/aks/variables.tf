variable "cluster_name" {
  description = "AKS cluster that Foretop runs in. It needs the OIDC issuer and Workload ID."
  type        = string
}

variable "cluster_resource_group" {
  description = "Resource group of that cluster."
  type        = string
}

variable "watched_cluster_ids" {
  description = "Resource ids of the AKS clusters to watch, all in one region; null is the one that Foretop runs in."
  type        = list(string)
  default     = null
}

variable "resource_group" {
  description = "Resource group for what is made; null is that of the cluster."
  type        = string
  default     = null
}

variable "eventhub_namespace" {
  description = "Name of the Event Hubs namespace: globally unique, 6 to 50 letters, digits and dashes."
  type        = string
}

variable "category" {
  description = "kube-audit (everything) or kube-audit-admin (no reads, a fraction of the volume)."
  type        = string
  default     = "kube-audit"

  validation {
    condition     = contains(["kube-audit", "kube-audit-admin"], var.category)
    error_message = "Write kube-audit or kube-audit-admin: both together send every write twice."
  }
}

variable "partitions" {
  description = "Partitions of the hub: the most replicas that share the work. On the tier Standard it cannot be changed later."
  type        = number
  default     = 4
}

variable "throughput_units" {
  description = "Most throughput units: each is 1 MB/s in and 2 MB/s out. The namespace starts with one and grows."
  type        = number
  default     = 4
}

variable "name" {
  description = "Name of the managed identity and of the diagnostic setting."
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

variable "tags" {
  description = "Tags for what is made."
  type        = map(string)
  default     = {}
}
