output "role_arn" {
  description = "The role of the pod: annotate the service account with eks.amazonaws.com/role-arn, unless identity is pod-identity."
  value       = aws_iam_role.foretop.arn
}

output "settings" {
  description = "Variables for Foretop."
  value = {
    FORETOP_CLOUDWATCH_REGION     = local.region
    FORETOP_CLOUDWATCH_LOG_GROUPS = join(",", local.log_groups)
  }
}
