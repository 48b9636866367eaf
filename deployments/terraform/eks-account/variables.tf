variable "foretop_role_arn" {
  description = "Role of Foretop's pod: the output role_arn of the module eks."
  type        = string
}

variable "watched_clusters" {
  description = "EKS clusters of this account and region whose audit logs Foretop reads."
  type        = list(string)
}

variable "external_id" {
  description = "External id that Foretop has to say (FORETOP_CLOUDWATCH_EXTERNAL_ID); empty asks for none."
  type        = string
  default     = ""
}

variable "role_name" {
  description = "Name of the IAM role."
  type        = string
  default     = "foretop-reader"
}

variable "tags" {
  description = "Tags for what is made."
  type        = map(string)
  default     = {}
}
