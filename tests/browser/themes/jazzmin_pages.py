from django.contrib.admin import AdminSite

from tests.browser.themes.admins import patterns

urlpatterns = patterns(AdminSite())
