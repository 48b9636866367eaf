data "aws_partition" "current" {}
data "aws_caller_identity" "current" {}
data "aws_region" "current" {}

data "aws_eks_cluster" "this" {
  name = var.cluster_name
}

locals {
  partition  = data.aws_partition.current.partition
  account    = data.aws_caller_identity.current.account_id
  region     = data.aws_region.current.id # .name until version 5 of the provider, .region since 6; this is both
  issuer     = replace(data.aws_eks_cluster.this.identity[0].oidc[0].issuer, "https://", "")
  log_groups = [for name in coalesce(var.watched_clusters, [var.cluster_name]) : "/aws/eks/${name}/cluster"]
  log_arns   = [for name in local.log_groups : "arn:${local.partition}:logs:${local.region}:${local.account}:log-group:${name}"]
}

data "aws_iam_policy_document" "trust" {
  dynamic "statement" {
    for_each = var.identity == "irsa" ? [1] : []

    content {
      actions = ["sts:AssumeRoleWithWebIdentity"]

      principals {
        type        = "Federated"
        identifiers = ["arn:${local.partition}:iam::${local.account}:oidc-provider/${local.issuer}"]
      }

      condition {
        test     = "StringEquals"
        variable = "${local.issuer}:sub"
        values   = ["system:serviceaccount:${var.namespace}:${var.service_account}"]
      }

      condition {
        test     = "StringEquals"
        variable = "${local.issuer}:aud"
        values   = ["sts.amazonaws.com"]
      }
    }
  }

  dynamic "statement" {
    for_each = var.identity == "pod-identity" ? [1] : []

    content {
      actions = ["sts:AssumeRole", "sts:TagSession"]

      principals {
        type        = "Service"
        identifiers = ["pods.eks.amazonaws.com"]
      }

      condition {
        test     = "StringEquals"
        variable = "aws:SourceAccount"
        values   = [local.account]
      }
    }
  }
}

data "aws_iam_policy_document" "read" {
  # Reading. Both forms of the ARN, since AWS compares some actions with the one and some with the other.
  statement {
    sid       = "ReadAuditLogs"
    actions   = ["logs:FilterLogEvents", "logs:DescribeLogStreams"]
    resources = concat(local.log_arns, [for arn in local.log_arns : "${arn}:*"])
  }

  # Names and retention of log groups, for prefixes and foretop doctor. It cannot be limited to single groups.
  statement {
    sid       = "ListLogGroups"
    actions   = ["logs:DescribeLogGroups"]
    resources = ["arn:${local.partition}:logs:${local.region}:${local.account}:log-group:*"]
  }

  dynamic "statement" {
    for_each = length(var.assume_role_arns) > 0 ? [1] : []

    content {
      sid       = "ReadOtherAccounts"
      actions   = ["sts:AssumeRole"]
      resources = var.assume_role_arns
    }
  }
}

resource "aws_iam_role" "foretop" {
  name               = var.role_name
  assume_role_policy = data.aws_iam_policy_document.trust.json
  tags               = var.tags
}

resource "aws_iam_role_policy" "read" {
  name   = "read-audit-logs"
  role   = aws_iam_role.foretop.id
  policy = data.aws_iam_policy_document.read.json
}

resource "aws_eks_pod_identity_association" "foretop" {
  count = var.identity == "pod-identity" ? 1 : 0

  cluster_name    = var.cluster_name
  namespace       = var.namespace
  service_account = var.service_account
  role_arn        = aws_iam_role.foretop.arn
  tags            = var.tags
}
