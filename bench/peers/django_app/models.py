"""Users and groups with the mixins of django-scim2."""
from django.contrib.auth.models import AbstractBaseUser
from django.db import models
from django.utils import timezone
from django_scim.models import AbstractSCIMGroupMixin, AbstractSCIMUserMixin


class User(AbstractSCIMUserMixin, AbstractBaseUser):
    username = models.CharField(max_length=254, unique=True)
    first_name = models.CharField(max_length=150, blank=True)
    last_name = models.CharField(max_length=150, blank=True)
    email = models.EmailField(blank=True)
    is_active = models.BooleanField(default=True)
    date_joined = models.DateTimeField(default=timezone.now)
    scim_groups = models.ManyToManyField("Group", related_name="user_set")

    USERNAME_FIELD = "username"


class Group(AbstractSCIMGroupMixin):
    name = models.CharField(max_length=254, unique=True)


def queryset_post_processor_getter(model):
    """Has the groups of a page read at once, not user by user."""
    return lambda request, users: users.prefetch_related("scim_groups") if model is User else users
